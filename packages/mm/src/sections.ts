/**
 * Memory sections, and the ranges of physical memory that lie in them.
 *
 * @source reference mm.md §2; include/linux/mmzone.h, 6.16
 */
import { InputError, type Pfn } from '@pinfold/base';

/** Bits of a physical address. */
const PHYSICAL_BITS = 52;

/**
 * First pfn that cannot exist: 52 physical address bits.
 *
 * @param pageShift log2 of the page size in bytes
 * @returns the pfn
 */
export function endOfFrames(pageShift: number): Pfn {
  return 2 ** (PHYSICAL_BITS - pageShift);
}

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
 * @param pageShift log2 of the page size in bytes
 * @returns them, by their first frame
 * @throws {InputError} when one is empty, overlaps another or lies above 52 address bits
 */
export function checkedRanges(ranges: readonly MemoryRange[], pageShift: number): MemoryRange[] {
  const last = endOfFrames(pageShift);
  const sorted = [...ranges].sort((a, b) => a.pfn - b.pfn);
  let end = 0;
  for (const { pfn, npage } of sorted) {
    const place = `memory range at pfn ${pfn}`;
    if (!(npage > 0)) throw new InputError(place, 'at least one page', `${npage} pages`);
    if (pfn < end)
      throw new InputError(place, 'ranges that do not overlap', `a start below pfn ${end}`);
    if (pfn + npage > last)
      throw new InputError(place, 'memory below 2^52 bytes', `end pfn ${pfn + npage}`);
    end = pfn + npage;
  }
  return sorted;
}
