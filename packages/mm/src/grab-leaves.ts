/**
 * Pinning whole large leaves whose folios have their size: the inner loop of a walk over leaves. A
 * function of its own, without a call inside, because a folio costs it nothing but its own loads and
 * stores.
 *
 * @source reference strategies.md (j); mm/gup.c try_grab_folio_fast, 6.16
 */
import { MAX_EXTENT, maskedRun, MIXED, type Extents, type TableArena } from '@pinfold/base';
import type { MemMap } from './memmap.ts';

/**
 * Grabs the folios of consecutive entries of a table, each with as many pins as it has pages, and adds
 * them to extents. Whatever is not plain ends the loop: an entry without the bits, a folio of another
 * order, in movable memory or without references, an extent that does not fit.
 *
 * @param memmap memory map
 * @param dirs the tables
 * @param from first entry
 * @param end entry after the last, of the same table
 * @param mask bits of an entry that count
 * @param need their value
 * @param order order of the leaves
 * @param out gets the extents
 * @returns folios grabbed
 * @source reference strategies.md (j)
 */
export function grabLeaves(
  memmap: MemMap,
  { bits, words, frame }: TableArena,
  from: number,
  end: number,
  mask: number,
  need: number,
  order: number,
  out: Extents,
): number {
  const { sectionBase, sectionStride, sectionMovable, perSection, sectionPages } = memmap;
  const { refcount, pincount, order: orders } = memmap;
  const { pfn: firsts, npage: lengths, capacity } = out;
  const fit = from + maskedRun(bits, words, from, end, mask, need);
  const pages = 1 << order;
  const had = out.count;
  let count = had;
  let joined = false;
  // A frame that no folio has: nothing goes on with device memory, or with nothing.
  let next = count > 0 && lengths[count - 1] > 0 ? firsts[count - 1] + lengths[count - 1] : -1;
  // The section of the last folio: what it is need not be looked up again for the next one in it.
  let start = 0;
  let behind = 0;
  let base = 0;
  let stride = 0;
  let at = from;
  for (; at < fit; at++) {
    const pfn = frame[at];
    if (pfn < start || pfn >= behind) {
      const section = (pfn * perSection) | 0;
      if (sectionMovable[section] !== 0) break;
      start = section * sectionPages;
      behind = start + sectionPages;
      base = sectionBase[section];
      stride = sectionStride[section];
    }
    const head = base + ((pfn - start) >>> stride);
    const refs = refcount[head];
    if (orders[head] !== order || refs <= 0) break;
    if (pfn === next && lengths[count - 1] <= MAX_EXTENT - pages) {
      lengths[count - 1] += pages;
      joined = true;
    } else if (count < capacity) {
      firsts[count] = pfn;
      lengths[count] = pages;
      count++;
    } else break;
    refcount[head] = refs + pages;
    pincount[head] += pages;
    next = pfn + pages;
  }
  out.count = count;
  if (at > from) out.unit = joined || (had > 0 && out.unit !== pages) ? MIXED : pages;
  return at - from;
}
