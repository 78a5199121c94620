/**
 * Reading and writing pages by an access: by copying through the process's own address space where
 * that is the caller's, else page by page, or pinned as for a map.
 *
 * @source drivers/iommu/iommufd/pages.c iopt_pages_rw_access, iopt_pages_rw_slow, iopt_pages_rw_page,
 * 7.2; recording access a08
 */
import { Errno, PAGE_SIZE } from '@pinfold/base';
import { pinUserPagesRemote, touchPage, unpinUserPage, type Task } from '@pinfold/mm';
import { bytes } from './traced-bytes.ts';
import type { IoptPages } from './pages.ts';
import { PfnReader } from './pfn-reader.ts';
import {
  IOMMUFD_ACCESS_RW_KTHREAD,
  IOMMUFD_ACCESS_RW_SLOW_PATH,
  IOMMUFD_ACCESS_RW_WRITE,
} from './uapi.ts';

/**
 * Reads or writes pages.
 *
 * @param pages the pages
 * @param startByte first byte in the pages
 * @param length length in bytes
 * @param flags IOMMUFD_ACCESS_RW_*
 * @param current the calling process
 * @returns 0; -EPERM for pages that may not be written to; -EINVAL for a dma-buf; -EFAULT, or what
 *   pinning refuses with
 * @source drivers/iommu/iommufd/pages.c iopt_pages_rw_access, 7.2
 */
export function ioptPagesRwAccess(
  pages: IoptPages,
  startByte: bigint,
  length: bigint,
  flags: number,
  current: Task,
): number {
  const { calls } = pages.context;
  calls.enter('iopt_pages_rw_access', ...bytes(startByte), ...bytes(length), flags);
  return calls.exit('iopt_pages_rw_access', access(pages, startByte, length, flags, current));
}

function access(
  pages: IoptPages,
  startByte: bigint,
  length: bigint,
  flags: number,
  current: Task,
): number {
  const { refusals } = pages.context;
  const { source, sourceMm: mm } = pages;
  const write = (flags & IOMMUFD_ACCESS_RW_WRITE) !== 0;
  if (source.type === 'dmabuf') return -Errno.EINVAL;
  if (write && !pages.writable) {
    const check = 'iopt_area_add_access: the pages may be written to';
    return refusals.refuse(check, Errno.EPERM, { startByte });
  }
  const first = Number(startByte / BigInt(PAGE_SIZE));
  const last = Number((startByte + length - 1n) / BigInt(PAGE_SIZE));
  const own = source.type === 'user' && mm === current.mm;
  if (own && !(flags & (IOMMUFD_ACCESS_RW_SLOW_PATH | IOMMUFD_ACCESS_RW_KTHREAD))) {
    for (let index = first; index <= last; index++) {
      if (touchPage(mm, source.vpn + index, write) !== 0) return -Errno.EFAULT;
    }
    return 0;
  }
  // One page, of which nobody knows the frame yet: it is looked up alone.
  if (first === last && source.type === 'user') return rwPage(pages, source.vpn + first, write);
  return rwSlow(pages, first, last, current);
}

/** iopt_pages_rw_page. */
function rwPage(pages: IoptPages, vpn: number, write: boolean): number {
  const { memory } = pages.context;
  const { sourceMm: mm } = pages;
  if (mm.mmUsers === 0) return -Errno.EINVAL;
  const array = memory.memmap.pageArray(1);
  pages.context.calls.note('pin_user_pages_remote');
  const got = pinUserPagesRemote(mm, vpn, 1, write ? 1 : 0, array);
  if (got !== 1) return got < 0 ? got : -Errno.EINVAL;
  unpinUserPage(memory, array[0]);
  return 0;
}

/** iopt_pages_rw_slow: pinned batch by batch, and not charged. */
function rwSlow(pages: IoptPages, first: number, last: number, current: Task): number {
  const reader = new PfnReader(pages, first, last, current);
  let ret = reader.first();
  if (ret !== 0) return ret;
  while (ret === 0 && !reader.done) {
    reader.unpin();
    ret = reader.next();
  }
  reader.destroy();
  return ret;
}
