/**
 * locked_vm: the pages that a process has charged against RLIMIT_MEMLOCK.
 *
 * @source mm/util.c __account_locked_vm, 6.16; reference mm.md §8
 */
import { Errno, Slot } from '@pinfold/base';
import type { MmStruct, Task } from './mm-struct.ts';

/**
 * Whether a charge is more than a limit. The kernel compares unsigned numbers: a locked_vm below
 * zero, which more uncharges than charges leave behind, is more than any limit.
 *
 * @param pages pages that would be charged in all
 * @param limitPages RLIMIT_MEMLOCK in pages; Infinity: unlimited
 * @returns true if the kernel refuses the charge
 * @source mm/util.c __account_locked_vm, mm/mlock.c do_mlock, drivers/vfio/vfio_iommu_type1.c
 * vfio_pin_pages_remote, 6.16; recordings `defects`, s5c
 */
export function exceedsMemlock(pages: number, limitPages: number): boolean {
  return pages > limitPages || pages < 0;
}

/**
 * Charges pages to `mm.lockedVm`, or takes a charge back.
 *
 * @param mm address space that is charged
 * @param pages number of pages, at least 0
 * @param inc true to charge, false to take back
 * @param task process whose RLIMIT_MEMLOCK counts
 * @param bypassRlimit whether the limit does not bind (CAP_IPC_LOCK)
 * @returns 0, or -ENOMEM when the charge would exceed the limit
 * @source mm/util.c __account_locked_vm, 6.16
 */
export function accountLockedVm(
  mm: MmStruct,
  pages: number,
  inc: boolean,
  task: Task,
  bypassRlimit: boolean,
): number {
  const { tracer } = mm.memory.counters;
  mm.memory.counters.add(Slot.accountingUpdates, 1);
  if (tracer !== null) tracer.enter('__account_locked_vm', pages, inc ? 1 : 0);
  let ret = 0;
  if (!inc) {
    if (mm.lockedVm >= 0 && pages > mm.lockedVm) {
      mm.memory.warnOnce(
        '__account_locked_vm',
        `locked_vm ${mm.lockedVm} goes below 0 by -${pages}`,
      );
    }
    mm.lockedVm -= pages;
  } else if (bypassRlimit || !exceedsMemlock(mm.lockedVm + pages, task.memlockPages))
    mm.lockedVm += pages;
  else ret = -Errno.ENOMEM;
  if (tracer !== null) tracer.exit('__account_locked_vm', ret);
  return ret;
}
