/**
 * pfn_batch: page frames as ranges, with room for as many as fit 64 KiB. It is filled from pinned
 * pages, from the xarray or from a domain, and written to domains or unpinned.
 *
 * @source drivers/iommu/iommufd/pages.c struct pfn_batch, 7.2; reference iommufd.md §2
 */
import type { PageNumbers, Pfn } from '@pinfold/base';
import type { MemMap } from '@pinfold/mm';

/** Bytes that a batch may have (TEMP_MEMORY_LIMIT). */
const TEMP_MEMORY_LIMIT = 65536;
/** Bytes of a range: 8 of its first frame, 4 of its length. */
const RANGE_BYTES = 12;
/** Ranges of the largest batch: 5,461. */
export const MAX_BATCH_RANGES: number = Math.floor(TEMP_MEMORY_LIMIT / RANGE_BYTES);
/** Pages of the largest pin call: 8,192 pointers, 32 MiB of memory. */
export const MAX_PIN_PAGES: number = TEMP_MEMORY_LIMIT / 8;
const U32_MAX = 2 ** 32 - 1;

/** Kind of the frames of a batch, which are never mixed. */
export const BATCH_KIND = {
  /** Memory with a page. */
  CPU_MEMORY: 0,
  /** Memory of a device. */
  MMIO: 1,
} as const;

/** A batch. */
export class PfnBatch {
  /** First frame of every range. */
  readonly pfns: Float64Array;
  /** Length of every range in pages. */
  readonly npfns: Float64Array;
  /** Ranges that it may hold. */
  arraySize: number;
  /** Ranges in it. */
  end = 0;
  /** Pages in it. */
  totalPfns = 0;
  /** {@link BATCH_KIND} of what is in it. */
  kind: number = BATCH_KIND.CPU_MEMORY;

  /**
   * @param maxPages pages that may be put into it
   * @source drivers/iommu/iommufd/pages.c __batch_init, 7.2
   */
  constructor(maxPages: number) {
    this.arraySize = Math.min(maxPages, MAX_BATCH_RANGES);
    this.pfns = new Float64Array(this.arraySize);
    this.npfns = new Float64Array(this.arraySize);
  }

  /** Empties it. */
  clear(): void {
    this.totalPfns = 0;
    this.end = 0;
    if (this.npfns.length > 0) this.npfns[0] = 0;
  }

  /**
   * Adds consecutive frames: they continue the last range, or make a new one.
   *
   * @param pfn first frame
   * @param nr number of frames, at least 1
   * @param kind {@link BATCH_KIND}
   * @returns false if there is no room, or what is in it is of another kind
   * @source drivers/iommu/iommufd/pages.c batch_add_pfn_num, 7.2
   */
  addNum(pfn: Pfn, nr: number, kind: number = BATCH_KIND.CPU_MEMORY): boolean {
    const { end, pfns, npfns } = this;
    if (end > 0 && kind !== this.kind) return false;
    if (end > 0 && pfn === pfns[end - 1] + npfns[end - 1] && nr <= U32_MAX - npfns[end - 1]) {
      npfns[end - 1] += nr;
    } else if (end < this.arraySize) {
      pfns[end] = pfn;
      npfns[end] = nr;
      this.end = end + 1;
      this.kind = kind;
    } else return false;
    this.totalPfns += nr;
    return true;
  }

  /**
   * Keeps the last pages of the last range as the first of an empty batch.
   *
   * @param keep pages to keep
   * @source drivers/iommu/iommufd/pages.c batch_clear_carry, 7.2
   */
  clearCarry(keep: number): void {
    if (keep === 0) {
      this.clear();
      return;
    }
    const { pfns, npfns, end } = this;
    this.totalPfns = keep;
    pfns[0] = pfns[end - 1] + (npfns[end - 1] - keep);
    npfns[0] = keep;
    this.end = 1;
  }

  /**
   * Leaves out pages at the beginning of what was carried.
   *
   * @param skip pages, more than there are too
   * @source drivers/iommu/iommufd/pages.c batch_skip_carry, 7.2
   */
  skipCarry(skip: number): void {
    if (this.totalPfns === 0) return;
    const pages = Math.min(this.totalPfns, skip);
    this.pfns[0] += pages;
    this.npfns[0] -= pages;
    this.totalPfns -= pages;
  }

  /**
   * Adds the frames of a page array, one after the other, until there is no room.
   *
   * @param memmap memory map
   * @param pages page array
   * @param from index of the first page
   * @param npage number of pages
   * @source drivers/iommu/iommufd/pages.c batch_from_pages, 7.2
   */
  addPages(memmap: MemMap, pages: PageNumbers, from: number, npage: number): void {
    const end = from + npage;
    for (let i = from; i < end;) {
      const pfn = memmap.pageToPfn(pages[i]);
      let next = i + 1;
      while (next < end && memmap.pageToPfn(pages[next]) === pfn + (next - i)) next++;
      if (!this.addNum(pfn, next - i)) return;
      i = next;
    }
  }
}
