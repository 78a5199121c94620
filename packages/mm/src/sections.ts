/**
 * Memory sections, and the ranges of physical memory that lie in them.
 *
 * @source reference mm.md §2; include/linux/mmzone.h, 6.16
 */
import { InputError, type Pfn } from '@pinfold/base';

/** log2 of the pages of a memory section (SECTION_SIZE_BITS 27 on x86-64). */
export const SECTION_ORDER = 15;
/** Pages of a memory section: 128 MiB. */
export const PAGES_PER_SECTION = 32768;

/** First pfn that cannot exist: 52 physical address bits. */
export const MAX_PFN: number = 2 ** 40;

/** Pages whose folio may be pinned for long (ZONE_DMA32, ZONE_NORMAL), or not (ZONE_MOVABLE). */
export type ZoneType = 'normal' | 'movable';

/** A range of physical memory. */
export interface MemoryRange {
  /** First page frame. */
  readonly pfn: Pfn;
  /** Length in pages. */
  readonly npage: number;
  /** Zone of its sections; default `normal`. */
  readonly zone?: ZoneType;
  /** Whether it is a CMA area, of whole sections: free for memory that can be migrated. */
  readonly cma?: boolean;
}

/**
 * Checks ranges.
 *
 * @param ranges the ranges
 * @returns them, by their first frame
 * @throws {InputError} when one is empty, overlaps another or lies above 52 address bits
 */
export function checkedRanges(ranges: readonly MemoryRange[]): MemoryRange[] {
  const sorted = [...ranges].sort((a, b) => a.pfn - b.pfn);
  let end = 0;
  for (const { pfn, npage } of sorted) {
    const place = `memory range at pfn ${pfn}`;
    if (!(npage > 0)) throw new InputError(place, 'at least one page', `${npage} pages`);
    if (pfn < end)
      throw new InputError(place, 'ranges that do not overlap', `a start below pfn ${end}`);
    if (pfn + npage > MAX_PFN)
      throw new InputError(place, 'memory below 2^52 bytes', `end pfn ${pfn + npage}`);
    end = pfn + npage;
  }
  return sorted;
}
