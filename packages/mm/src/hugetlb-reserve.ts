/**
 * Reservations of huge pages, so that the faults of a mapping do not find the pool empty.
 *
 * A private mapping reserves a page for each of its own when it is made, uses it up by the first page
 * that becomes its own there, and gives back what it has not used when it goes. The reservations of
 * shared mappings belong to the file: they are made by the first mapping of a page, used up by the
 * page's allocation for whoever, and go with the file.
 *
 * @source mm/hugetlb.c hugetlb_reserve_pages, hugetlb_unreserve_pages, hugetlb_vm_op_close,
 * restore_reserve_on_error, 6.16
 */
import { pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import type { HugetlbPool } from './hugetlb-pool.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { VM, type Vma } from './vma.ts';

/** The huge pages of a file that are reserved or allocated (struct resv_map of its inode). */
export class ResvMap {
  readonly #order: number;
  readonly #pages = new Set<number>();

  /** @param order order of the file's pages */
  constructor(order: number) {
    this.#order = order;
  }

  /**
   * Whether a huge page that is not allocated is reserved.
   *
   * @param pgoff first page of the file that it holds
   * @returns true if it is
   * @source mm/hugetlb.c vma_needs_reservation, 6.16
   */
  has(pgoff: number): boolean {
    return this.#pages.has(pgoff);
  }

  /**
   * Takes note that a huge page is allocated.
   *
   * @param pgoff first page of the file that it holds
   * @source mm/hugetlb.c vma_commit_reservation, 6.16
   */
  commit(pgoff: number): void {
    this.#pages.add(pgoff);
  }

  /**
   * Takes note that a huge page was taken out of the file: it is neither reserved nor allocated.
   *
   * @param pgoff first page of the file that it held
   * @source fs/hugetlbfs/inode.c remove_inode_single_folio, 6.16
   */
  forget(pgoff: number): void {
    this.#pages.delete(pgoff);
  }

  /**
   * Reserves the huge pages of a range that are neither reserved nor allocated.
   *
   * @param pool the pool, or null if every free frame will do
   * @param pgoff first page of the range
   * @param npage its length in pages
   * @returns false, and nothing done, if the pool has too few
   * @source mm/hugetlb.c hugetlb_reserve_pages (region_chg, region_add), 6.16
   */
  reserve(pool: HugetlbPool | null, pgoff: number, npage: number): boolean {
    const missing: number[] = [];
    for (let at = pgoff; at < pgoff + npage; at += pagesOf(this.#order)) {
      if (!this.#pages.has(at)) missing.push(at);
    }
    if (pool?.reserve(missing.length) === false) return false;
    for (const at of missing) this.#pages.add(at);
    return true;
  }

  /**
   * Gives back what was reserved and not used: the file goes.
   *
   * @param pool the pool, or null
   * @param allocated huge pages of the file that were allocated
   * @source mm/hugetlb.c hugetlb_unreserve_pages, 6.16
   */
  release(pool: HugetlbPool | null, allocated: number): void {
    pool?.unreserve(this.#pages.size - allocated);
    this.#pages.clear();
  }
}

/**
 * Whether a VMA has reservations of its own: private hugetlb memory without MAP_NORESERVE.
 *
 * @param vma the VMA
 * @returns true if it has
 * @source mm/hugetlb.c hugetlb_reserve_pages, 6.16
 */
export function reservesHugePages(vma: Vma): boolean {
  return (vma.flags & (VM.HUGETLB | VM.SHARED | VM.NORESERVE)) === VM.HUGETLB;
}

/**
 * Reserves the huge pages of a new mapping.
 *
 * @param mm address space
 * @param vma the mapping
 * @param file reservations of the file, if a shared mapping has one
 * @returns false, and nothing done, if the pool has too few
 * @source mm/hugetlb.c hugetlb_reserve_pages, 6.16
 */
export function hugetlbReservePages(mm: MmStruct, vma: Vma, file: ResvMap | null): boolean {
  const pool = mm.memory.hugetlbPool(vma.order);
  const npage = vma.end - vma.start;
  if (reservesHugePages(vma)) return pool?.reserve(npage / pagesOf(vma.order)) ?? true;
  if (file === null || vma.flags & VM.NORESERVE) return true;
  return file.reserve(pool, vma.pgoff, npage);
}

/**
 * Whether the page that a fault of private memory asks for was reserved by its mapping.
 *
 * @param mm address space
 * @param vpn first virtual page of the huge page
 * @returns true if it was, and the reservation is unused
 * @source mm/hugetlb.c vma_needs_reservation, 6.16
 */
export function hasPrivateReserve(mm: MmStruct, vpn: Vpn): boolean {
  const vma = mm.vmas.lookup(vpn);
  return vma !== null && reservesHugePages(vma) && isUnused(mm, vpn);
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
  eachReserving(mm, start, end, (order, unused) => mm.memory.hugetlbPool(order)?.unreserve(unused));
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
  eachReserving(mm, start, end, (order, unused) => before.set(order, unused));
  zap();
  eachReserving(mm, start, end, (order, unused) => {
    mm.memory.hugetlbPool(order)?.unreserve((before.get(order) ?? 0) - unused);
  });
}

/** The reservations of a range that private areas have not used, per page size. */
function eachReserving(
  mm: MmStruct,
  start: Vpn,
  end: Vpn,
  visit: (order: number, unused: number) => void,
): void {
  const unused = new Map<number, number>();
  for (const vma of mm.vmas.overlapping(start, end)) {
    if (!reservesHugePages(vma) || vma.ops === null) continue;
    const to = Math.min(end, vma.end);
    for (let at = Math.max(start, vma.start); at < to; at += pagesOf(vma.order)) {
      if (isUnused(mm, at)) unused.set(vma.order, (unused.get(vma.order) ?? 0) + 1);
    }
  }
  for (const [order, pages] of unused) visit(order, pages);
}

/** Whether a private mapping has no page of its own: none at all, or the page of the file. */
function isUnused({ pageTable, memory: { memmap } }: MmStruct, vpn: Vpn): boolean {
  const pfn: Pfn = pageTable.pfnAt(vpn);
  return pfn < 0 || (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) === 0;
}
