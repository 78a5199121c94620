/**
 * What a process does with its address space: mmap, munmap, mprotect, madvise, mlock, access.
 *
 * @source mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c, 6.16
 */
import { Errno, InputError, isAligned, offsetIn, type Vpn } from '@pinfold/base';
import { faultErrno, touchPage, type VmOperations } from './fault.ts';
import { changeProtection } from './change-protection.ts';
import { restoreReserve, unreserveRange } from './hugetlb-reserve.ts';
import type { MmStruct, Task } from './mm-struct.ts';
import { accountableMapping, vmEnoughMemory } from './overcommit.ts';
import { TASK_SIZE_PAGES } from './page-table.ts';
import { VM, Vma } from './vma.ts';
import { freePgtables, removeVmas, splitAt, zapRange } from './zap.ts';

/** An mmap call. */
export interface MmapCall {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** {@link VM} READ, WRITE, SHARED, and HUGETLB, PFNMAP, IO of the kind of memory. */
  readonly flags: number;
  /** Who answers its faults. */
  readonly ops: VmOperations;
  /** First page of the file that is mapped; default 0. */
  readonly pgoff?: number;
  /** MAP_FIXED: takes the place of what is mapped there; default false, MAP_FIXED_NOREPLACE. */
  readonly fixed?: boolean;
}

/**
 * Maps memory; nothing is populated. What is refused by address, length or overcommit leaves what is
 * mapped there as it is.
 *
 * @param mm address space
 * @param call where, what and how
 * @returns 0; -EINVAL when it cuts a hugetlb page; -EEXIST when something is mapped there and it does
 *   not take its place; -ENOMEM above TASK_SIZE, for writable private memory that is longer than the
 *   machine's, or when the hugetlb pool has too few pages
 * @throws {InputError} when the range is empty
 * @source mm/mmap.c do_mmap, __get_unmapped_area, mm/vma.c __mmap_prepare, 6.16
 */
export function doMmap(mm: MmStruct, call: MmapCall): number {
  const { vpn, npage, flags, ops, pgoff = 0, fixed = false } = call;
  if (!(npage > 0))
    throw new InputError(`mapping at virtual page ${vpn}`, 'at least one page', `${npage} pages`);
  if (npage > TASK_SIZE_PAGES) return -Errno.ENOMEM;
  if (![vpn, npage, pgoff].every((pages) => isAligned(pages, ops.order))) return -Errno.EINVAL;
  if (vpn > TASK_SIZE_PAGES - npage) return -Errno.ENOMEM;
  const end = vpn + npage;
  if (!fixed && mm.vmas.overlapping(vpn, end).length > 0) return -Errno.EEXIST;
  if (fixed && cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  if (accountableMapping(flags) && !vmEnoughMemory(mm.memory, npage)) return -Errno.ENOMEM;
  if (fixed) munmap(mm, vpn, npage);
  const vma = new Vma(vpn, end, flags | VM.MAYWRITE, ops, pgoff);
  const error = ops.mmap?.(mm, vma) ?? 0;
  if (error !== 0) return error;
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
 * @returns 0; -EINVAL when it is empty, ends above TASK_SIZE or cuts a hugetlb page
 * @source mm/vma.c do_vmi_munmap, 6.16
 */
export function munmap(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  if (npage === 0 || end > TASK_SIZE_PAGES) return -Errno.EINVAL;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.flags & VM.LOCKED) {
      mm.lockedVm -= Math.min(end, vma.end) - Math.max(vpn, vma.start);
    }
  }
  unreserveRange(mm, vpn, end);
  zapRange(mm, vpn, end);
  removeVmas(mm, vpn, end);
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
 * @returns 0; -EINVAL when it cuts a hugetlb page; -ENOMEM when a page of it is not mapped, or at an
 *   area that becomes writable and is longer than the machine's memory (what lies before it is done)
 * @source mm/mprotect.c do_mprotect_pkey, mprotect_fixup, change_protection, 6.16
 */
export function mprotect(mm: MmStruct, vpn: Vpn, npage: number, prot: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  const mapped = enoughMemoryUpTo(mm, vpn, mappedUpTo(mm, vpn, end), prot);
  const changed: Vma[] = [];
  mm.vmas.replace(vpn, mapped, (part) => {
    const flags = (part.flags & ~(VM.READ | VM.WRITE)) | prot;
    const after = part.part(part.start, part.end, flags);
    if (flags !== part.flags) changed.push(after);
    return after;
  });
  mm.vmas.mergeAround(vpn, mapped);
  splitAtBorders(mm, vpn, mapped);
  for (const part of changed) changeProtection(mm, part);
  return mapped < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_HUGEPAGE, MADV_NOHUGEPAGE.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @param flag VM.HUGEPAGE or VM.NOHUGEPAGE
 * @returns 0; -EINVAL when it cuts a hugetlb page; -ENOMEM when a page of it is not mapped
 * @source mm/khugepaged.c hugepage_madvise, 6.16
 */
export function adviseHugepage(mm: MmStruct, vpn: Vpn, npage: number, flag: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  mm.vmas.replace(vpn, end, (part) =>
    part.part(part.start, part.end, (part.flags & ~(VM.HUGEPAGE | VM.NOHUGEPAGE)) | flag),
  );
  mm.vmas.mergeAround(vpn, end);
  splitAtBorders(mm, vpn, end);
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_DONTNEED: drops the pages of a range; the next access faults new ones in.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EINVAL for locked or pfn-mapped memory, or where it begins inside a hugetlb page (it
 *   may end inside one, which stays); -ENOMEM when a page of it is not mapped
 * @source mm/madvise.c madvise_dontneed_free, 6.16
 */
export function adviseDontneed(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    const start = Math.max(vpn, vma.start);
    if (vma.flags & (VM.LOCKED | VM.PFNMAP) || !isAligned(start, vma.order)) return -Errno.EINVAL;
    const whole = Math.min(end, vma.end);
    const stop = whole - offsetIn(whole, vma.order);
    restoreReserve(mm, start, stop, () => zapRange(mm, start, stop));
  }
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * Faults in every page of a range, for writing where a private mapping allows it. Device memory is
 * left alone.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EFAULT or -ENOMEM at the first page that could not be had
 * @source mm/gup.c populate_vma_page_range, 6.16
 */
export function mmPopulate(mm: MmStruct, vpn: Vpn, npage: number): number {
  for (const vma of mm.vmas.overlapping(vpn, vpn + npage)) {
    if (vma.flags & (VM.IO | VM.PFNMAP)) continue;
    const write = (vma.flags & (VM.WRITE | VM.SHARED)) === VM.WRITE;
    const end = Math.min(vpn + npage, vma.end);
    for (let at = Math.max(vpn, vma.start); at < end; at++) {
      const code = touchPage(mm, at, write);
      if (code !== 0) return faultErrno(code);
    }
  }
  return mappedUpTo(mm, vpn, vpn + npage) < vpn + npage ? -Errno.ENOMEM : 0;
}

/**
 * mlock or munlock: charges a range to `locked_vm` and populates it, or takes the charge back. Device
 * memory and hugetlb pages are neither locked nor charged, but count for the limit.
 *
 * @param task the process
 * @param vpn first virtual page
 * @param npage length in pages
 * @param lock true for mlock
 * @returns 0; -ENOMEM over RLIMIT_MEMLOCK without CAP_IPC_LOCK, when a page is not mapped (what lies
 *   before it is done), or when nothing is behind a page; -EAGAIN without a free frame
 * @source mm/mlock.c do_mlock, apply_vma_lock_flags, mlock_fixup, 6.16
 */
export function mlock(task: Task, vpn: Vpn, npage: number, lock: boolean): number {
  const { mm } = task;
  const locked = pagesWhere(mm, vpn, vpn + npage, (flags) => (flags & VM.LOCKED) !== 0);
  const limit = task.capIpcLock ? Infinity : task.memlockPages;
  if (lock && mm.lockedVm + npage - locked > limit) return -Errno.ENOMEM;
  const end = mappedUpTo(mm, vpn, vpn + npage);
  const changes = (flags: number): boolean =>
    (flags & (VM.IO | VM.PFNMAP | VM.HUGETLB)) === 0 && ((flags & VM.LOCKED) !== 0) !== lock;
  mm.lockedVm += pagesWhere(mm, vpn, end, changes) * (lock ? 1 : -1);
  mm.vmas.replace(vpn, end, (part) =>
    changes(part.flags) ? part.part(part.start, part.end, part.flags ^ VM.LOCKED) : part,
  );
  mm.vmas.mergeAround(vpn, end);
  splitAtBorders(mm, vpn, end);
  if (end < vpn + npage) return -Errno.ENOMEM;
  const error = lock ? mmPopulate(mm, vpn, npage) : 0;
  return error === -Errno.ENOMEM ? -Errno.EAGAIN : error === -Errno.EFAULT ? -Errno.ENOMEM : error;
}

/** Up to where areas that would count for overcommit only with new access are short enough for it. */
function enoughMemoryUpTo(mm: MmStruct, vpn: Vpn, end: Vpn, prot: number): Vpn {
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    const start = Math.max(vpn, vma.start);
    const counts = accountableMapping((vma.flags & ~(VM.READ | VM.WRITE)) | prot);
    const length = accountableMapping(vma.flags) || !counts ? 0 : Math.min(end, vma.end) - start;
    if (!vmEnoughMemory(mm.memory, length)) return start;
  }
  return end;
}

/** Pages of a range whose VMAs have certain flags. */
function pagesWhere(mm: MmStruct, start: Vpn, end: Vpn, test: (flags: number) => boolean): number {
  return mm.vmas
    .overlapping(start, end)
    .filter((vma) => test(vma.flags))
    .reduce((sum, vma) => sum + Math.min(end, vma.end) - Math.max(start, vma.start), 0);
}

/**
 * Splits large leaves that reach over a border that has become one of a VMA.
 *
 * @source mm/huge_memory.c vma_adjust_trans_huge, 6.16
 */
function splitAtBorders(mm: MmStruct, ...borders: Vpn[]): void {
  for (const at of borders) if (mm.vmas.lookup(at)?.start === at) splitAt(mm, at);
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

/**
 * Whether a border of a range lies inside a hugetlb page.
 *
 * @source mm/hugetlb.c hugetlb_vm_op_split, 6.16
 */
function cutsHugetlb(mm: MmStruct, start: Vpn, end: Vpn): boolean {
  return [start, end].some((at) => {
    const vma = mm.vmas.lookup(at);
    return vma !== null && at > vma.start && !isAligned(at, vma.order);
  });
}
