/**
 * Reservations of huge pages: a private mapping reserves a page for each of its own when it is made,
 * uses it up by the first fault there, and gives back what it has not used when it goes.
 *
 * Left out: reservations of shared mappings, which belong to the file; their faults take pages that
 * nobody has reserved.
 *
 * @source mm/hugetlb.c hugetlb_reserve_pages, hugetlb_vm_op_close, restore_reserve_on_error, 6.16
 */
import { pagesOf, type Vpn } from '@pinfold/base';
import type { MmStruct } from './mm-struct.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Whether a VMA reserves huge pages: private hugetlb memory without MAP_NORESERVE.
 *
 * @param vma the VMA
 * @returns true if it does
 * @source mm/hugetlb.c hugetlb_reserve_pages, 6.16
 */
export function reservesHugePages(vma: Vma): boolean {
  return (vma.flags & (VM.HUGETLB | VM.SHARED | VM.NORESERVE)) === VM.HUGETLB;
}

/**
 * Gives back the reservations that a range of an address space has not used.
 *
 * @param mm address space; the range is still mapped
 * @param start first virtual page
 * @param end first virtual page after it
 * @source mm/hugetlb.c hugetlb_vm_op_close, 6.16
 */
export function unreserveRange(mm: MmStruct, start: Vpn, end: Vpn): void {
  eachReserving(mm, start, end, (order, absent) => mm.memory.hugetlbPool(order)?.unreserve(absent));
}

/**
 * Reserves again what a range of private hugetlb memory has lost: its pages went, its VMA stays.
 *
 * @param mm address space
 * @param start first virtual page
 * @param end first virtual page after it
 * @param zap takes the pages away
 * @source mm/hugetlb.c __unmap_hugepage_range (restore_reserve), 6.16
 */
export function restoreReserve(mm: MmStruct, start: Vpn, end: Vpn, zap: () => void): void {
  const before = new Map<number, number>();
  eachReserving(mm, start, end, (order, absent) => before.set(order, absent));
  zap();
  eachReserving(mm, start, end, (order, absent) => {
    mm.memory.hugetlbPool(order)?.unreserve((before.get(order) ?? 0) - absent);
  });
}

/** The huge pages of a range that private reserving areas have not faulted in, per page size. */
function eachReserving(
  mm: MmStruct,
  start: Vpn,
  end: Vpn,
  visit: (order: number, absent: number) => void,
): void {
  const absent = new Map<number, number>();
  for (const vma of mm.vmas.overlapping(start, end)) {
    if (!reservesHugePages(vma) || vma.ops === null) continue;
    const { order } = vma.ops;
    const to = Math.min(end, vma.end);
    for (let at = Math.max(start, vma.start); at < to; at += pagesOf(order)) {
      if (mm.pageTable.pfnAt(at) < 0) absent.set(order, (absent.get(order) ?? 0) + 1);
    }
  }
  for (const [order, pages] of absent) visit(order, pages);
}
