import { MmStruct, Task } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { Guest, minus } from '../test/guest.ts';
import { VfioDma } from './dma.ts';
import { vfioChangeDmaOwner, vfioLockAcct } from './lock-acct.ts';

/** A process that may lock 100 pages, and a mapping of it. */
function mapping(capIpcLock = false): VfioDma {
  const { memory } = new Guest();
  return new VfioDma(0, 0, 3, new Task(new MmStruct(memory), 100 * 4096, capIpcLock));
}

describe('vfio_lock_acct', () => {
  test('charges the process and remembers what the mapping contributes', () => {
    const dma = mapping();
    expect(vfioLockAcct(dma, 60, false)).toBe(0);
    expect(vfioLockAcct(dma, -20, true)).toBe(0);
    expect([dma.mm.lockedVm, dma.lockedVm]).toEqual([40, 40]);
  });

  test.each([
    ['exactly the limit', 100, false, 0],
    ['one page more', 101, false, minus('ENOMEM')],
    ['one page more with CAP_IPC_LOCK', 101, true, 0],
  ])('%s', (_, npage, capIpcLock, ret) => {
    const dma = mapping(capIpcLock);
    expect(vfioLockAcct(dma, npage, false)).toBe(ret);
    expect([dma.mm.lockedVm, dma.lockedVm]).toEqual(ret === 0 ? [npage, npage] : [0, 0]);
  });

  test('CAP_IPC_LOCK is that of the time of the mapping', () => {
    const dma = mapping(true);
    dma.task.capIpcLock = false;
    expect(vfioLockAcct(dma, 1000, false)).toBe(0);
  });

  test('nothing to charge takes no lock', () => {
    const dma = mapping();
    expect([vfioLockAcct(dma, 0, false), vfioLockAcct(dma, -0, true)]).toEqual([0, 0]);
    expect(dma.mm.memory.counters.snapshot().accountingUpdates).toBe(0);
  });

  test('of a process that has gone accounts nothing', () => {
    const dma = mapping();
    vfioLockAcct(dma, 10, false);
    dma.mm.mmUsers = 0;
    expect(vfioLockAcct(dma, -10, true)).toBe(minus('ESRCH'));
    expect([dma.mm.lockedVm, dma.lockedVm]).toEqual([10, 10]);
  });
});

describe('vfio_change_dma_owner', () => {
  /** A mapping with 40 pages charged, and another process. */
  function charged(rlimitPages: number, capIpcLock = false): { dma: VfioDma; other: Task } {
    const dma = mapping();
    vfioLockAcct(dma, 40, false);
    return { dma, other: new Task(new MmStruct(dma.mm.memory), rlimitPages * 4096, capIpcLock) };
  }

  test('moves charge, process and CAP_IPC_LOCK', () => {
    const { dma, other } = charged(40, true);
    const before = dma.mm;
    expect(vfioChangeDmaOwner(dma, other)).toBe(0);
    expect([before.lockedVm, other.mm.lockedVm, dma.lockedVm]).toEqual([0, 40, 40]);
    expect(dma).toMatchObject({ task: other, mm: other.mm, lockCap: true });
  });

  test('fails with ENOMEM over the limit of the new process, and changes nothing', () => {
    const { dma, other } = charged(39);
    const { task, mm } = dma;
    expect(vfioChangeDmaOwner(dma, other)).toBe(minus('ENOMEM'));
    expect([mm.lockedVm, other.mm.lockedVm]).toEqual([40, 0]);
    expect([dma.task, dma.mm]).toEqual([task, mm]);
  });

  test('does nothing in the same address space', () => {
    const { dma } = charged(0);
    const thread = new Task(dma.mm, 0);
    expect(vfioChangeDmaOwner(dma, thread)).toBe(0);
    expect(dma.mm.lockedVm).toBe(40);
    expect(dma.task).not.toBe(thread);
  });

  test('takes no charge back from a process that has gone', () => {
    const { dma, other } = charged(100);
    const { mm } = dma;
    mm.mmUsers = 0;
    expect(vfioChangeDmaOwner(dma, other)).toBe(0);
    expect([mm.lockedVm, other.mm.lockedVm]).toEqual([40, 40]);
  });

  test('moves a negative charge too, which unaligned pins can leave', () => {
    const { dma, other } = charged(100);
    vfioLockAcct(dma, -42, true);
    expect([dma.mm.lockedVm, dma.lockedVm]).toEqual([-2, -2]);
    const before = dma.mm;
    other.mm.lockedVm = 7;
    expect(vfioChangeDmaOwner(dma, other)).toBe(0);
    expect([before.lockedVm, other.mm.lockedVm, dma.lockedVm]).toEqual([0, 5, -2]);
  });

  test('takes the lock of both processes once, for no page too', () => {
    const dma = mapping();
    const { counters } = dma.mm.memory;
    const before = counters.snapshot();
    expect(vfioChangeDmaOwner(dma, new Task(new MmStruct(dma.mm.memory)))).toBe(0);
    expect(counters.since(before).accountingUpdates).toBe(2);
  });

  test('of a mapping without charge succeeds in a process over its limit', () => {
    const dma = mapping();
    const other = new Task(new MmStruct(dma.mm.memory), 4096);
    other.mm.lockedVm = 5;
    expect(vfioChangeDmaOwner(dma, other)).toBe(0);
    expect(other.mm.lockedVm).toBe(5);
  });
});
