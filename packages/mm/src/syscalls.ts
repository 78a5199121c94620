/**
 * What a process does with its address space: mmap, munmap, mprotect, madvise, mlock, access.
 *
 * @source mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c, 6.16
 */
import { Errno, InputError, isAligned, pagesOf, type Vpn } from '@pinfold/base';
import { accountLockedVm } from './accounting.ts';
import { touchPage, type VmOperations } from './fault.ts';
import type { MmStruct, Task } from './mm-struct.ts';
import { MAX_VPN, PTE } from './page-table.ts';
import { VM, Vma } from './vma.ts';
import { freePgtables, splitAt, zapRange } from './zap.ts';

/** An mmap call. */
export interface MmapCall {
  /** First virtual page (MAP_FIXED_NOREPLACE). */
  readonly vpn: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** {@link VM} READ, WRITE, SHARED, and HUGETLB, PFNMAP, IO of the kind of memory. */
  readonly flags: number;
  /** Who answers its faults. */
  readonly ops: VmOperations;
  /** First page of the file that is mapped; default 0. */
  readonly pgoff?: number;
}

/**
 * Maps memory; nothing is populated.
 *
 * @param mm address space
 * @param call where, what and how
 * @returns 0; -EEXIST when something is mapped there; -ENOMEM above 47 address bits, or when the
 *   hugetlb pool has too few pages
 * @throws {InputError} when the range is empty
 * @source mm/mmap.c do_mmap, 6.16
 */
export function doMmap(mm: MmStruct, call: MmapCall): number {
  const { vpn, npage, flags, ops, pgoff = 0 } = call;
  if (!(npage > 0))
    throw new InputError(`mapping at virtual page ${vpn}`, 'at least one page', `${npage} pages`);
  if (vpn + npage > MAX_VPN / 2) return -Errno.ENOMEM;
  const vma = new Vma(vpn, vpn + npage, flags | VM.MAYWRITE, ops, pgoff);
  if (mm.vmas.overlapping(vma.start, vma.end).length > 0) return -Errno.EEXIST;
  const pool =
    flags & VM.HUGETLB && !(flags & VM.NORESERVE) ? mm.memory.hugetlbPool(ops.order) : null;
  if (pool?.reserve(npage / pagesOf(ops.order)) === false) return -Errno.ENOMEM;
  mm.vmas.insert(vma);
  mm.vmas.mergeAround(vma.start, vma.end);
  return 0;
}

/**
 * Unmaps a range; what is not mapped in it is skipped.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EINVAL when it cuts a hugetlb page
 * @source mm/vma.c do_vmi_munmap, 6.16
 */
export function munmap(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.flags & VM.LOCKED) {
      mm.lockedVm -= Math.min(end, vma.end) - Math.max(vpn, vma.start);
    }
  }
  zapRange(mm, vpn, end);
  mm.vmas.replace(vpn, end, () => null);
  freePgtables(mm, vpn, end);
  return 0;
}

/**
 * Changes what may be done with a range.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @param prot {@link VM} READ and WRITE
 * @returns 0; -EINVAL when it cuts a hugetlb page; -ENOMEM when a page of it is not mapped
 * @source mm/mprotect.c do_mprotect_pkey, change_protection, 6.16
 */
export function mprotect(mm: MmStruct, vpn: Vpn, npage: number, prot: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  const mapped = mappedUpTo(mm, vpn, end);
  mm.vmas.replace(vpn, mapped, (part) =>
    part.part(part.start, part.end, (part.flags & ~(VM.READ | VM.WRITE)) | prot),
  );
  mm.vmas.mergeAround(vpn, mapped);
  if ((prot & VM.WRITE) === 0) writeProtect(mm, vpn, mapped);
  return mapped < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_HUGEPAGE, MADV_NOHUGEPAGE.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @param flag VM.HUGEPAGE or VM.NOHUGEPAGE
 * @returns 0; -ENOMEM when a page of it is not mapped
 * @source mm/khugepaged.c hugepage_madvise, 6.16
 */
export function adviseHugepage(mm: MmStruct, vpn: Vpn, npage: number, flag: number): number {
  const end = vpn + npage;
  mm.vmas.replace(vpn, end, (part) =>
    part.part(part.start, part.end, (part.flags & ~(VM.HUGEPAGE | VM.NOHUGEPAGE)) | flag),
  );
  mm.vmas.mergeAround(vpn, end);
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_DONTNEED: drops the pages of a range; the next access faults new ones in.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EINVAL for locked or pfn-mapped memory, or when it cuts a hugetlb page; -ENOMEM
 *   when a page of it is not mapped
 * @source mm/madvise.c madvise_dontneed_free, 6.16
 */
export function adviseDontneed(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.flags & (VM.LOCKED | VM.PFNMAP)) return -Errno.EINVAL;
    zapRange(mm, Math.max(vpn, vma.start), Math.min(end, vma.end));
  }
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * Faults in every page of a range, for writing where a private mapping allows it.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EFAULT or -ENOMEM at the first page that could not be had
 * @source mm/gup.c populate_vma_page_range, 6.16
 */
export function mmPopulate(mm: MmStruct, vpn: Vpn, npage: number): number {
  for (const vma of mm.vmas.overlapping(vpn, vpn + npage)) {
    const write = (vma.flags & (VM.WRITE | VM.SHARED)) === VM.WRITE;
    const end = Math.min(vpn + npage, vma.end);
    for (let at = Math.max(vpn, vma.start); at < end; at++) {
      if (touchPage(mm, at, write) !== 0) return -Errno.EFAULT;
    }
  }
  return mappedUpTo(mm, vpn, vpn + npage) < vpn + npage ? -Errno.ENOMEM : 0;
}

/**
 * mlock or munlock: charges a range to `locked_vm` and populates it, or takes the charge back.
 *
 * @param task the process
 * @param vpn first virtual page
 * @param npage length in pages
 * @param lock true for mlock
 * @returns 0; -ENOMEM over RLIMIT_MEMLOCK without CAP_IPC_LOCK, or when a page is not mapped
 * @source mm/mlock.c do_mlock, apply_vma_lock_flags, 6.16
 */
export function mlock(task: Task, vpn: Vpn, npage: number, lock: boolean): number {
  const { mm } = task;
  const end = vpn + npage;
  let change = 0;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    const pages = Math.min(end, vma.end) - Math.max(vpn, vma.start);
    if (((vma.flags & VM.LOCKED) !== 0) !== lock && !(vma.flags & VM.PFNMAP)) change += pages;
  }
  const ret = accountLockedVm(mm, change, lock, task, task.capIpcLock);
  if (ret !== 0) return ret;
  mm.vmas.replace(vpn, end, (part) => {
    if (part.flags & VM.PFNMAP) return part;
    const flags = lock ? part.flags | VM.LOCKED : part.flags & ~VM.LOCKED;
    return part.part(part.start, part.end, flags);
  });
  mm.vmas.mergeAround(vpn, end);
  if (mappedUpTo(mm, vpn, end) < end) return -Errno.ENOMEM;
  return lock ? mmPopulate(mm, vpn, npage) : 0;
}

/** First page at or after `vpn` that no VMA covers, at most `end`. */
function mappedUpTo(mm: MmStruct, vpn: Vpn, end: Vpn): Vpn {
  let at = vpn;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.start > at) return at;
    at = vma.end;
  }
  return Math.min(at, end);
}

function cutsHugetlb(mm: MmStruct, start: Vpn, end: Vpn): boolean {
  return [start, end].some((at) => {
    const ops = mm.vmas.lookup(at)?.ops ?? null;
    return ops !== null && !isAligned(at, ops.order);
  });
}

/** Takes write access from the entries of a range; a large leaf that it cuts is split. */
function writeProtect(mm: MmStruct, start: Vpn, end: Vpn): void {
  splitAt(mm, start);
  splitAt(mm, end);
  const { pageTable } = mm;
  pageTable.forEachLeaf(start, end, (vpn, pfn, level, bits) => {
    pageTable.setEntry(vpn, pfn, level, bits & ~PTE.write);
  });
}
