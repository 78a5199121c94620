import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot } from '../test/machine.ts';
import { accountLockedVm } from './accounting.ts';
import { MmStruct, Task } from './mm-struct.ts';

/** A process that has locked some pages and may lock 100. */
function process(lockedVm: number): Task {
  const task = new Task(new MmStruct(boot()), 100 * 4096);
  task.mm.lockedVm = lockedVm;
  return task;
}

describe('charging', () => {
  test.each([
    // locked, more, bypass, result, locked after
    ['exactly up to the limit', 60, 40, false, 0, 100],
    ['one page beyond it', 60, 41, false, -Errno.ENOMEM, 60],
    ['when nothing is left', 100, 1, false, -Errno.ENOMEM, 100],
    ['nothing, at the limit', 100, 0, false, 0, 100],
    ['beyond it with CAP_IPC_LOCK', 100, 2 ** 32, true, 0, 100 + 2 ** 32],
  ])('%s', (_, locked, more, bypass, ret, after) => {
    const task = process(locked);
    expect(accountLockedVm(task.mm, more, true, task, bypass)).toBe(ret);
    expect(task.mm.lockedVm).toBe(after);
  });

  test('uses the limit in whole pages', () => {
    const task = process(0);
    task.rlimitMemlock = 4096 * 3 - 1;
    expect(accountLockedVm(task.mm, 3, true, task, false)).toBe(-Errno.ENOMEM);
    expect(accountLockedVm(task.mm, 2, true, task, false)).toBe(0);
  });

  test('uses the limit of the process, not of the address space that is charged', () => {
    const rich = process(0);
    rich.rlimitMemlock = Infinity;
    const poor = process(0);
    expect(accountLockedVm(poor.mm, 1000, true, rich, false)).toBe(0);
    expect([poor.mm.lockedVm, rich.mm.lockedVm]).toEqual([1000, 0]);
  });
});

describe('a locked_vm below zero, which the kernel takes for a huge number', () => {
  test.each([
    [-3, 1, Infinity, -Errno.ENOMEM, -3],
    [-3, 2, 100 * 4096, -Errno.ENOMEM, -3],
    [-3, 3, 100 * 4096, 0, 0],
    [-1, 1, 0, 0, 0],
  ])('%i and %i more', (locked, more, limit, ret, after) => {
    const task = process(locked);
    task.rlimitMemlock = limit;
    expect(accountLockedVm(task.mm, more, true, task, false)).toBe(ret);
    expect(task.mm.lockedVm).toBe(after);
  });

  test('CAP_IPC_LOCK charges all the same', () => {
    const task = process(-3);
    expect(accountLockedVm(task.mm, 1, true, task, true)).toBe(0);
  });

  test('goes further down without a warning', () => {
    const task = process(-3);
    accountLockedVm(task.mm, 1, false, task, false);
    expect([task.mm.lockedVm, [...task.mm.memory.warnings.keys()]]).toEqual([-4, []]);
  });
});

describe('taking a charge back', () => {
  test('never fails, above the limit too', () => {
    const task = process(500);
    expect(accountLockedVm(task.mm, 200, false, task, false)).toBe(0);
    expect(task.mm.lockedVm).toBe(300);
    expect([...task.mm.memory.warnings]).toEqual([]);
  });

  test('of more than is charged makes the kernel warn', () => {
    const task = process(5);
    expect(accountLockedVm(task.mm, 6, false, task, false)).toBe(0);
    expect([...task.mm.memory.warnings.keys()]).toEqual(['__account_locked_vm']);
  });
});

test('every call takes the mmap write lock once, a refused one too', () => {
  const task = process(0);
  accountLockedVm(task.mm, 1, true, task, false);
  accountLockedVm(task.mm, 1, false, task, false);
  accountLockedVm(task.mm, 101, true, task, false);
  expect(task.mm.memory.counters.snapshot().accountingUpdates).toBe(3);
});
