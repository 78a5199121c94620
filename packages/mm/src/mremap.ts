/**
 * mremap: memory grows, shrinks or moves. What is pinned stays pinned: the pages keep their frames,
 * only the entries of the page table move.
 *
 * @source mm/mremap.c, 6.12 to 7.2; recordings `more`, xmr01 to xmr03
 */
import { Errno, isAligned, offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import type { MmStruct, Task } from './mm-struct.ts';
import { mlockFutureOk, mmPopulate, munmap } from './syscalls.ts';
import { VM, Vma } from './vma.ts';
import { freePgtables, removeVmas, splitAt } from './zap.ts';

/** An mremap call. */
export interface MremapCall {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Old length in pages; 0 maps shared memory a second time. */
  readonly npage: number;
  /** New length in pages. */
  readonly newPages: number;
  /** First page of the new place (MREMAP_FIXED); what is mapped there goes. */
  readonly to?: Vpn;
  /** MREMAP_MAYMOVE without a place: finds one where memory that cannot grow moves to. */
  readonly findPlace?: (npage: number) => Vpn;
}

/** What an mremap returned. */
export interface Mremapped {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** First page of the memory afterwards; -1 if it failed. */
  readonly vpn: Vpn;
}

/**
 * Changes the length or the place of memory.
 *
 * @param task the process
 * @param call what is asked for
 * @returns where the memory lies, or: -EINVAL without a new length, for a place that is not free of
 *   the old one or above the address space, when a hugetlb page is cut or hugetlb memory grows;
 *   -EFAULT where nothing is mapped, over the border of a VMA, and for device memory that is to
 *   grow; -EAGAIN for locked memory above RLIMIT_MEMLOCK; -ENOMEM when it can neither grow nor move
 * @source mm/mremap.c SYSCALL_DEFINE5(mremap), 6.12
 */
export function mremap(task: Task, call: MremapCall): Mremapped {
  const { mm } = task;
  const vma = mm.vmas.lookup(call.vpn);
  if (call.newPages === 0) return failed(Errno.EINVAL);
  if (vma === null) return failed(Errno.EFAULT);
  const aligned = hugeAligned(vma, call);
  if (aligned === null) return failed(Errno.EINVAL);
  if (aligned.to !== undefined) return moveTo(task, aligned, aligned.to);
  const { vpn, npage, newPages, findPlace } = aligned;
  if (newPages <= npage) {
    const ret = newPages < npage ? munmap(mm, vpn + newPages, npage - newPages) : 0;
    return ret === 0 ? { ret, vpn } : failed(-ret);
  }
  const error = checkGrowth(task, vma, aligned);
  if (error !== 0) return failed(error);
  const growth = newPages - npage;
  const fits =
    vma.end + growth <= mm.pageTable.geometry.taskPages &&
    mm.vmas.isFree(vma.end, vma.end + growth);
  if (vpn + npage === vma.end && fits) return growInPlace(mm, vma, vpn, growth);
  return findPlace ? move(mm, vma, aligned, findPlace(newPages)) : failed(Errno.ENOMEM);
}

function failed(errno: number): Mremapped {
  return { ret: -errno, vpn: -1 };
}

/** Lengths of hugetlb memory are rounded up to its pages; null where it cannot be remapped so. */
function hugeAligned({ order }: Vma, call: MremapCall): MremapCall | null {
  if (order === 0) return call;
  const up = (pages: number): number => Math.ceil(pages / pagesOf(order)) * pagesOf(order);
  const [npage, newPages] = [up(call.npage), up(call.newPages)];
  const places = [call.vpn, call.to ?? 0];
  if (!places.every((place) => isAligned(place, order)) || newPages > npage) return null;
  return { ...call, npage, newPages };
}

/** Moves memory to a place that the caller names; since 6.17 several areas if none changes its length. */
function moveTo(task: Task, call: MremapCall, to: Vpn): Mremapped {
  const { mm } = task;
  const { vpn, npage, newPages } = call;
  if (to + newPages > task.mm.pageTable.geometry.taskPages) return failed(Errno.EINVAL);
  if (vpn + npage > to && to + newPages > vpn) return failed(Errno.EINVAL);
  const several = mm.memory.rules.mremapMovesSeveral && npage === newPages;
  const pieces = several ? piecesOf(mm, vpn, npage) : [{ ...call, npage, newPages }];
  for (const piece of pieces) {
    const target = to + (piece.vpn - vpn);
    const ret = moveOne(task, { ...call, ...piece }, target);
    if (ret !== 0) return failed(-ret);
  }
  return { ret: 0, vpn: to };
}

/** The parts of a range that lie in one area each. */
function piecesOf(
  mm: MmStruct,
  vpn: Vpn,
  npage: number,
): Pick<MremapCall, 'vpn' | 'npage' | 'newPages'>[] {
  return mm.vmas.overlapping(vpn, vpn + npage).map((vma) => {
    const first = Math.max(vpn, vma.start);
    const pages = Math.min(vpn + npage, vma.end) - first;
    return { vpn: first, npage: pages, newPages: pages };
  });
}

/** mremap_to: what lies at the new place goes first, and the end that is cut off. */
function moveOne(task: Task, call: MremapCall, to: Vpn): number {
  const { mm } = task;
  const { vpn, npage, newPages } = call;
  const unmapped = munmap(mm, to, newPages);
  if (unmapped !== 0) return unmapped;
  const cut = newPages < npage ? munmap(mm, vpn + newPages, npage - newPages) : 0;
  if (cut !== 0) return cut;
  const rest = { ...call, npage: Math.min(npage, newPages) };
  const vma = mm.vmas.lookup(vpn);
  const error = vma === null ? Errno.EFAULT : checkGrowth(task, vma, rest);
  return error === 0 && vma !== null ? move(mm, vma, rest, to).ret : -error;
}

/**
 * Whether an area may be resized: a positive errno if not.
 *
 * @source mm/mremap.c vma_to_resize, 6.12
 */
function checkGrowth(task: Task, vma: Vma, { vpn, npage, newPages }: MremapCall): number {
  if (npage === 0 && (vma.flags & VM.SHARED) === 0) return Errno.EINVAL;
  if (npage > vma.end - vpn) return Errno.EFAULT;
  if (newPages === npage) return 0;
  if (vma.flags & VM.PFNMAP) return Errno.EFAULT;
  const locked = (vma.flags & VM.LOCKED) !== 0;
  return locked && !mlockFutureOk(task, newPages - npage) ? Errno.EAGAIN : 0;
}

/** vma_merge_extend: the area becomes longer where it lies. */
function growInPlace(mm: MmStruct, vma: Vma, vpn: Vpn, growth: number): Mremapped {
  const { end } = vma;
  const more = vma.part(end, end + growth);
  mm.vmas.insert(more);
  mm.vmas.mergeAround(end, end + growth);
  populateLocked(mm, vma, end, growth, growth);
  return { ret: 0, vpn };
}

/** Charges memory that is locked, and faults in what is new of it. */
function populateLocked(mm: MmStruct, vma: Vma, vpn: Vpn, npage: number, charge: number): void {
  if ((vma.flags & VM.LOCKED) === 0) return;
  mm.lockedVm += charge;
  if (npage > 0) mmPopulate(mm, vpn, npage);
}

/**
 * Moves memory to a free place.
 *
 * @source mm/mremap.c move_vma, 6.12
 */
function move(mm: MmStruct, vma: Vma, call: MremapCall, to: Vpn): Mremapped {
  const { vpn, npage, newPages } = call;
  if (to + newPages > mm.pageTable.geometry.taskPages) return failed(Errno.ENOMEM);
  const pgoff = vma.pgoff + (vpn - vma.start);
  const moved = new Vma(to, to + newPages, vma.flags, vma.ops, pgoff, vma.order);
  moved.anonVma = vma.anonVma;
  mm.vmas.insert(moved);
  moveEntries(mm, vpn, npage, to);
  if (npage > 0) {
    // Reservations of huge pages have moved too: nothing is given back.
    removeVmas(mm, vpn, vpn + npage);
    freePgtables(mm, vpn, vpn + npage);
  }
  mm.vmas.mergeAround(to, to + newPages);
  populateLocked(mm, moved, to + npage, newPages - npage, newPages - npage);
  return { ret: 0, vpn: to };
}

/**
 * Moves the entries of a range. A large leaf moves as it is where its new place has the same
 * alignment; else that of anonymous memory becomes PTEs, and that of anything else goes.
 *
 * @source mm/mremap.c move_page_tables, move_huge_pmd, move_ptes, 6.12
 */
function moveEntries(mm: MmStruct, vpn: Vpn, npage: number, to: Vpn): void {
  const { pageTable } = mm;
  splitAt(mm, vpn);
  splitAt(mm, vpn + npage);
  const entries: [at: Vpn, pfn: Pfn, level: number, bits: number][] = [];
  const take = (): void => {
    entries.length = 0;
    pageTable.forEachLeaf(vpn, vpn + npage, (...entry) => entries.push(entry));
  };
  take();
  const misfits = entries.filter(
    ([, , level]) => offsetIn(to - vpn, pageTable.tableBits * level) !== 0,
  );
  for (const [at] of misfits) splitAt(mm, at + 1);
  if (misfits.length > 0) take();
  for (const [at, pfn, level, bits] of entries) {
    pageTable.setEntry(at, 0, level, 0);
    pageTable.setEntry(to + (at - vpn), pfn, level, bits);
  }
}
