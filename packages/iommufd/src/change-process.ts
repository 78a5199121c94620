/**
 * IOMMU_IOAS_CHANGE_PROCESS: another process takes over pages of files, and their charge, as a live
 * update does.
 *
 * Odd, and so in the kernel: where the old owner has gone, the new one is charged, the ioctl fails with
 * EINVAL, and nobody ever gives the charge back.
 *
 * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_change_process, 7.2; recordings 7.2-iofd r03 and r06
 */
import { Errno } from '@pinfold/base';
import type { Task } from '@pinfold/mm';
import { ioptPagesUpdatePinned } from './accounting.ts';
import type { IommufdContext } from './context.ts';
import { IommufdIoas } from './ioas.ts';
import type { IommufdObjects } from './objects.ts';
import { ACCOUNT_MODE, IoptPages } from './pages.ts';

/**
 * Takes over all pages of all I/O address spaces.
 *
 * @param context the iommufd
 * @param objects its objects
 * @param current the process that takes over
 * @returns 0, -EINVAL or -ENOMEM
 */
export function changeProcess(
  context: IommufdContext,
  objects: IommufdObjects,
  current: Task,
): number {
  const { refusals, memory } = context;
  const all = allPages(objects);
  if (all.some(({ source }) => source.type !== 'file')) {
    const check = 'iommufd_ioas_change_process: all pages are of files';
    return refusals.refuse(check, Errno.EINVAL);
  }
  const charged = new Map<number, number>();
  for (const pages of all) {
    if (!needsCharge(pages, current)) continue;
    const sum = (charged.get(pages.accountMode) ?? 0) + pages.lastNpinned;
    charged.set(pages.accountMode, sum);
    pages.lastNpinned = 0;
  }
  const refused = chargeCurrent(context, charged, current);
  if (refused !== 0) {
    for (const pages of all) pages.lastNpinned = pages.npinned;
    return refused;
  }
  let ret = 0;
  for (const pages of all) {
    if (needsCharge(pages, current)) {
      const error = ioptPagesUpdatePinned(pages, pages.npinned, false);
      if (error !== 0) {
        memory.warnOn('iommufd_ioas_change_process', 'the old owner cannot be uncharged');
        ret = error;
      }
    }
    pages.sourceTask = current;
  }
  return ret;
}

/** Every iopt_pages that is mapped, once. */
function allPages(objects: IommufdObjects): IoptPages[] {
  const found = new Set<IoptPages>();
  for (const object of objects.all) {
    if (!(object instanceof IommufdIoas)) continue;
    for (const { pages } of object.iopt.areaTree.items) if (pages) found.add(pages);
  }
  return [...found];
}

/** need_charge_update. */
function needsCharge({ accountMode, sourceTask, sourceMm }: IoptPages, current: Task): boolean {
  if (accountMode === ACCOUNT_MODE.NONE) return false;
  const other = sourceMm !== current.mm;
  return accountMode === ACCOUNT_MODE.MM ? other : other || sourceTask.user !== current.user;
}

/** charge_current: by pages of its own, which are not kept. */
function chargeCurrent(
  context: IommufdContext,
  charged: ReadonlyMap<number, number>,
  current: Task,
): number {
  const done: [IoptPages, number][] = [];
  for (const [mode, npages] of charged) {
    if (npages === 0) continue;
    const source = { type: 'user', vpn: 0 } as const;
    const own = new IoptPages(context, source, npages, false, mode, current);
    const error = ioptPagesUpdatePinned(own, npages, true);
    if (error === 0) done.push([own, npages]);
    else {
      for (const [pages, n] of done) ioptPagesUpdatePinned(pages, n, false);
      return error;
    }
  }
  return 0;
}
