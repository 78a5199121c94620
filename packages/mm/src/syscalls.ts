/**
 * What a process does with its address space: mmap, munmap, mprotect, madvise, mlock, access.
 *
 * @source mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c, 6.16
 */
import { Errno, InputError, isAligned, offsetIn, type Vpn } from '@pinfold/base';
import { exceedsMemlock } from './accounting.ts';
import { faultErrno, touchPage, type VmOperations } from './fault.ts';
import { changeProtection } from './change-protection.ts';
import { restoreReserve, unreserveRange } from './hugetlb-reserve.ts';
import type { MmStruct, Task } from './mm-struct.ts';
import { VM, Vma } from './vma.ts';
import { freePgtables, removeVmas, splitAt, zapRange } from './zap.ts';

/** The page at which addresses wrap. */
const WRAP_VPN = 2 ** 52;

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
 * @returns 0; -EINVAL when it cuts a hugetlb page; -EEXIST when something is mapped there; -ENOMEM
 *   above 47 address bits, or when the hugetlb pool has too few pages
 * @throws {InputError} when the range is empty
 * @source mm/mmap.c do_mmap, 6.16
 */
export function doMmap(mm: MmStruct, call: MmapCall): number {
  const { vpn, npage, flags, ops, pgoff = 0 } = call;
  if (!(npage > 0))
    throw new InputError(`mapping at virtual page ${vpn}`, 'at least one page', `${npage} pages`);
  if (![vpn, npage, pgoff].every((pages) => isAligned(pages, ops.order))) return -Errno.EINVAL;
  if (vpn + npage > mm.pageTable.geometry.taskPages) return -Errno.ENOMEM;
  const vma = new Vma(vpn, vpn + npage, flags | VM.MAYWRITE, ops, pgoff);
  if (mm.vmas.overlapping(vma.start, vma.end).length > 0) return -Errno.EEXIST;
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
 * @returns 0; -EINVAL when it ends above the addresses of a process, or cuts a hugetlb page
 * @source mm/vma.c do_vmi_munmap, 6.16; recording edge04
 */
export function munmap(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  if (end > mm.pageTable.geometry.taskPages) return -Errno.EINVAL;
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
 * @returns 0; -EINVAL when it cuts a hugetlb page; -ENOMEM when a page of it is not mapped
 * @source mm/mprotect.c do_mprotect_pkey, change_protection, 6.16
 */
export function mprotect(mm: MmStruct, vpn: Vpn, npage: number, prot: number): number {
  const end = vpn + npage;
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  const mapped = mappedUpTo(mm, vpn, end);
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
 * MADV_DONTFORK and MADV_DOFORK: whether a child gets the memory.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @param copied whether it does
 * @returns 0; -EINVAL for device memory that it is to get; -ENOMEM when a page of it is not mapped
 * @source mm/madvise.c madvise_vma_behavior, 6.16
 */
export function adviseFork(mm: MmStruct, vpn: Vpn, npage: number, copied: boolean): number {
  const end = vpn + npage;
  for (const { flags } of mm.vmas.overlapping(vpn, end)) {
    if (copied && flags & VM.IO) return -Errno.EINVAL;
  }
  if (cutsHugetlb(mm, vpn, end)) return -Errno.EINVAL;
  mm.vmas.replace(vpn, end, (part) =>
    part.part(part.start, part.end, (part.flags & ~VM.DONTCOPY) | (copied ? 0 : VM.DONTCOPY)),
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
    for (let at = Math.max(vpn, vma.start); at < end; at = mm.pageTable.leafEnd(at)) {
      const code = touchPage(mm, at, write);
      if (code !== 0) return faultErrno(code);
    }
  }
  return mappedUpTo(mm, vpn, vpn + npage) < vpn + npage ? -Errno.ENOMEM : 0;
}

/**
 * MADV_POPULATE_READ, MADV_POPULATE_WRITE: faults in every page of a range as an access would, up to the
 * first that cannot be had.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @param write true for MADV_POPULATE_WRITE
 * @returns 0; -ENOMEM at a page that is not mapped, or without a free frame; -EINVAL at device memory, or
 *   memory that does not allow the access; -EFAULT where nothing is behind a page
 * @source mm/madvise.c madvise_populate, mm/gup.c faultin_page_range, check_vma_flags, 6.12 to 7.2;
 * recordings bar09, edge01
 */
export function advisePopulate(mm: MmStruct, vpn: Vpn, npage: number, write: boolean): number {
  const end = vpn + npage;
  const mapped = mappedUpTo(mm, vpn, end);
  const last = mm.memory.rules.populateGoesOn ? end : mapped;
  for (const vma of mm.vmas.overlapping(vpn, last)) {
    const allowed = (vma.flags & (write ? VM.WRITE : VM.READ)) !== 0;
    if (vma.flags & (VM.IO | VM.PFNMAP) || !allowed) return -Errno.EINVAL;
    const stop = Math.min(last, vma.end);
    for (let at = Math.max(vpn, vma.start); at < stop; at = mm.pageTable.leafEnd(at)) {
      const code = touchPage(mm, at, write);
      if (code !== 0) return faultErrno(code);
    }
  }
  return mapped < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_REMOVE: punches a hole into the file behind a range; whoever maps the file loses these pages.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EINVAL for locked memory and memory without a file; -EACCES for a private mapping of a
 *   file; -ENOMEM when a page of the range is not mapped (the others are done)
 * @source mm/madvise.c madvise_remove, 6.16; recordings par10
 */
export function adviseRemove(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.flags & VM.LOCKED || vma.ops === null || vma.ops.anonymous) return -Errno.EINVAL;
    if ((vma.flags & VM.SHARED) === 0) return -Errno.EACCES;
    if (vma.ops.punchHole === undefined) return -Errno.ENODEV;
    const start = Math.max(vpn, vma.start);
    const pgoff = vma.pgoff + (start - vma.start);
    vma.ops.punchHole(mm.memory, pgoff, Math.min(end, vma.end) - start);
  }
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * MADV_FREE: the pages of a range may be dropped when memory is short, which it never is here.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0; -EINVAL for memory that is locked or not private anonymous; -ENOMEM when a page of the
 *   range is not mapped
 * @source mm/madvise.c madvise_free_single_vma, madvise_dontneed_free_valid_vma, 6.16; recordings par11
 */
export function adviseFree(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.flags & VM.LOCKED || vma.ops?.anonymous !== true) return -Errno.EINVAL;
  }
  return mappedUpTo(mm, vpn, end) < end ? -Errno.ENOMEM : 0;
}

/**
 * mlock or munlock: charges a range to `locked_vm` and populates it, or takes the charge back. Device
 * memory and hugetlb pages are neither locked nor charged, but count for the limit.
 *
 * @param task the process
 * @param vpn first virtual page
 * @param npage length in pages
 * @param lock true for mlock
 * @returns 0; -EPERM for an mlock with an RLIMIT_MEMLOCK of 0, -ENOMEM over it, both without
 *   CAP_IPC_LOCK; -EINVAL when the end wraps; -ENOMEM when a page is not mapped (what lies before it
 *   is done), or when nothing is behind a page; -EAGAIN without a free frame
 * @source mm/mlock.c do_mlock, apply_vma_lock_flags, mlock_fixup, 6.16
 */
export function mlock(task: Task, vpn: Vpn, npage: number, lock: boolean): number {
  const { mm } = task;
  if (lock && !canDoMlock(task)) return -Errno.EPERM;
  if (lock && exceedsLimit(task, vpn, npage)) return -Errno.ENOMEM;
  if (vpn + npage >= WRAP_VPN) return -Errno.EINVAL;
  if (npage === 0) return 0;
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

/** Whether an mlock would exceed the limit: what is locked in its range counts only once. */
function exceedsLimit(task: Task, vpn: Vpn, npage: number): boolean {
  const { mm, capIpcLock, memlockPages } = task;
  if (capIpcLock || !exceedsMemlock(mm.lockedVm + npage, memlockPages)) return false;
  const locked = pagesWhere(mm, vpn, vpn + npage, (flags) => (flags & VM.LOCKED) !== 0);
  return exceedsMemlock(mm.lockedVm + npage - locked, memlockPages);
}

/**
 * Whether a process may map locked memory (MAP_LOCKED). What is locked
 * where the memory will lie does not count in its favour.
 *
 * @param task the process
 * @param npage length in pages
 * @returns 0; -EPERM with an RLIMIT_MEMLOCK of 0, -EAGAIN over it, both without CAP_IPC_LOCK
 * @source mm/mmap.c do_mmap, mm/mlock.c can_do_mlock, 6.16; recordings `more`, lim02
 */
export function mlockFuture(task: Task, npage: number): number {
  if (!canDoMlock(task)) return -Errno.EPERM;
  return mlockFutureOk(task, npage) ? 0 : -Errno.EAGAIN;
}

/**
 * Whether more memory may be locked.
 *
 * @param task the process
 * @param npage pages more
 * @returns false over RLIMIT_MEMLOCK without CAP_IPC_LOCK
 * @source mm/mmap.c mlock_future_ok, 6.16
 */
export function mlockFutureOk({ mm, capIpcLock, memlockPages }: Task, npage: number): boolean {
  return capIpcLock || !exceedsMemlock(mm.lockedVm + npage, memlockPages);
}

/** can_do_mlock: without CAP_IPC_LOCK a limit of 0 forbids it altogether. */
function canDoMlock({ capIpcLock, rlimitMemlock }: Task): boolean {
  return capIpcLock || rlimitMemlock !== 0;
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
