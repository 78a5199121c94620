import { describe, expect, test } from 'vitest';
import { boot } from '../test/machine.ts';
import { MmStruct, Task } from './mm-struct.ts';

test('an address space begins empty, unpinned and uncharged', () => {
  const mm = new MmStruct(boot());
  expect([...mm.vmas]).toEqual([]);
  expect(mm).toMatchObject({ lockedVm: 0, mmUsers: 1, hasPinned: false, gupFailure: null });
});

describe('RLIMIT_MEMLOCK of a task', () => {
  const mm = new MmStruct(boot());

  test('is 8 MiB by default, without CAP_IPC_LOCK', () => {
    expect(new Task(mm)).toMatchObject({
      rlimitMemlock: 8_388_608,
      memlockPages: 2048,
      capIpcLock: false,
    });
  });

  test.each([
    [0, 0],
    [4095, 0],
    [4096, 1],
    [12_287, 2],
    [2 ** 44, 2 ** 32],
    [Infinity, Infinity],
  ])('%d bytes are %d whole pages', (bytes, pages) => {
    expect(new Task(mm, bytes).memlockPages).toBe(pages);
  });

  test('may change while the task runs', () => {
    const task = new Task(mm);
    task.rlimitMemlock = 8192;
    expect(task.memlockPages).toBe(2);
  });
});
