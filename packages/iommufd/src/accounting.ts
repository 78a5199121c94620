/**
 * Charging pinned pages, after they were pinned and mapped: to nobody, to the user or to the process,
 * and always to `mm.pinnedVm`.
 *
 * @source drivers/iommu/iommufd/pages.c iopt_pages_update_pinned, pfn_reader_user_update_pinned,
 * update_unpinned, 7.2; reference iommufd.md §6
 */
import { Errno } from '@pinfold/base';
import { accountLockedVm } from '@pinfold/mm';
import { ACCOUNT_MODE, type IoptPages } from './pages.ts';

/**
 * Charges what was pinned since the last time, or takes back what was unpinned.
 *
 * @param pages the pages
 * @returns 0; -ENOMEM over the limit; -EINVAL when the process that would be charged has gone
 * @source drivers/iommu/iommufd/pages.c pfn_reader_user_update_pinned, 7.2
 */
export function updatePinned(pages: IoptPages): number {
  const { npinned, lastNpinned } = pages;
  if (npinned === lastNpinned) return 0;
  const inc = npinned > lastNpinned;
  return ioptPagesUpdatePinned(pages, Math.abs(npinned - lastNpinned), inc);
}

/**
 * Charges pages, or takes a charge back.
 *
 * @param pages the pages
 * @param npages how many
 * @param inc true to charge
 * @returns 0; -ENOMEM over the limit; -EINVAL when the process that would be charged has gone
 * @source drivers/iommu/iommufd/pages.c iopt_pages_update_pinned, 7.2
 */
export function ioptPagesUpdatePinned(pages: IoptPages, npages: number, inc: boolean): number {
  const { calls } = pages.context;
  const { accountMode, npinned, lastNpinned } = pages;
  const fn = 'iopt_pages_update_pinned';
  calls.enter(fn, npages, inc ? 1 : 0, accountMode, npinned, lastNpinned);
  const ret = charge(pages, npages, inc);
  if (ret !== 0) return calls.exit(fn, ret);
  pages.lastNpinned = pages.npinned;
  pages.sourceMm.pinnedVm += inc ? npages : -npages;
  return calls.exit(fn, 0);
}

function charge(pages: IoptPages, npages: number, inc: boolean): number {
  if (pages.accountMode === ACCOUNT_MODE.NONE) return 0;
  if (pages.accountMode === ACCOUNT_MODE.MM) return updateMmLockedVm(pages, npages, inc);
  if (inc) return incrUserLockedVm(pages, npages);
  pages.context.calls.call('decr_user_locked_vm', npages);
  const { user } = pages.sourceTask;
  if (user.lockedVm < npages) {
    pages.context.memory.warnOn(
      'decr_user_locked_vm',
      `locked_vm ${user.lockedVm} is below ${npages}`,
    );
    return 0;
  }
  user.lockedVm -= npages;
  return 0;
}

/** Charges the user. */
function incrUserLockedVm(pages: IoptPages, npages: number): number {
  const { calls, refusals } = pages.context;
  const { user, memlockPages } = pages.sourceTask;
  calls.enter('incr_user_locked_vm', npages);
  if (user.lockedVm + npages > memlockPages) {
    const check = 'pfn_reader_update_pinned: RLIMIT_MEMLOCK of the user';
    const details = { chargedPages: user.lockedVm, pages: npages, limitPages: memlockPages };
    return calls.exit('incr_user_locked_vm', refusals.refuse(check, Errno.ENOMEM, details));
  }
  user.lockedVm += npages;
  return calls.exit('incr_user_locked_vm', 0);
}

/**
 * Charges the process, under its mmap lock; one that has gone cannot be charged.
 *
 * @param pages the pages
 * @param npages how many
 * @param inc true to charge
 * @returns 0, -ENOMEM or -EINVAL
 * @source drivers/iommu/iommufd/pages.c update_mm_locked_vm, 7.2
 */
function updateMmLockedVm(pages: IoptPages, npages: number, inc: boolean): number {
  const { calls, refusals } = pages.context;
  const { sourceMm: mm, sourceTask: task } = pages;
  calls.enter('update_mm_locked_vm', npages, inc ? 1 : 0);
  if (mm.mmUsers === 0) {
    const check = 'update_mm_locked_vm: the owner of the memory is there';
    return calls.exit(
      'update_mm_locked_vm',
      refusals.refuse(check, Errno.EINVAL, { pages: npages }),
    );
  }
  calls.note('__account_locked_vm');
  const ret = accountLockedVm(mm, npages, inc, task, false);
  if (ret !== 0) {
    refusals.refuse('pfn_reader_update_pinned: RLIMIT_MEMLOCK of the process', -ret, {
      ...{ chargedPages: mm.lockedVm, pages: npages, limitPages: task.memlockPages },
    });
  }
  return calls.exit('update_mm_locked_vm', ret);
}

/**
 * Takes back the charge of what was unpinned on a path that may not fail.
 *
 * @param pages the pages
 * @source drivers/iommu/iommufd/pages.c update_unpinned, 7.2
 */
export function updateUnpinned(pages: IoptPages): void {
  const { npinned, lastNpinned } = pages;
  if (npinned > lastNpinned) {
    pages.context.memory.warnOn(
      'update_unpinned',
      `${npinned} pages pinned, ${lastNpinned} charged`,
    );
    return;
  }
  if (npinned === lastNpinned) return;
  ioptPagesUpdatePinned(pages, lastNpinned - npinned, false);
}
