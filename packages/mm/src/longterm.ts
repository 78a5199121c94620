/**
 * The longterm pass over a page array: no page that is pinned for long may stay in movable memory.
 *
 * @source mm/gup.c check_and_migrate_movable_pages, 6.16; reference mm.md §5.1
 */
import { maskedRun, Slot, type Pfn, type PageNumbers } from '@pinfold/base';
import { consecutiveRun } from './contiguity.ts';
import type { MemMap } from './memmap.ts';
import type { Memory } from './memory.ts';

/**
 * Visits every entry of the array: the first page of each folio is looked up and tested, its
 * further pages are only compared with the folio's range. The compare is one of pointers; a folio
 * larger than a section counts as several, because under classic sparsemem its pointers have gaps.
 *
 * @param memory the machine's memory
 * @param pages page array
 * @param npage entries to check, from index 0
 * @returns index of the first page that may not stay where it is, or -1
 * @source mm/gup.c collect_longterm_unpinnable_folios, pofs_next_folio, 6.16
 */
export function checkMigrateMovablePages(
  memory: Memory,
  pages: PageNumbers,
  npage: number,
): number {
  const { memmap } = memory;
  let unpinnable = -1;
  const pass = { folios: 0 };
  for (let i = 0; i < npage;) {
    // A section lies in one zone, so the zone is tested once for all its pages.
    const pfn = memmap.pageToPfn(pages[i]);
    if (unpinnable < 0 && !memmap.longtermPinnable(pfn)) unpinnable = i;
    i = checkInSection(memmap, pages, i, npage, pfn, pass);
  }
  memory.counters.add(Slot.migrateChecks, npage);
  memory.counters.add(Slot.longtermFolios, pass.folios);
  return unpinnable;
}

/**
 * Visits entries while they are consecutive pages of one section: each is compared with the one
 * before, and the order of its folio is looked up unless it lies in the folio before.
 *
 * @returns the index after them
 */
function checkInSection(
  memmap: MemMap,
  pages: PageNumbers,
  from: number,
  npage: number,
  pfn: Pfn,
  pass: { folios: number },
): number {
  const offset = (pfn & memmap.sectionMask) | 0;
  const max = Math.min(npage - from, memmap.sectionPages - offset) | 0;
  const run = consecutiveRun(pages, from, from + max);
  const stride = memmap.strideOf(pfn);
  const base = memmap.entryOf(pfn) - (offset >>> stride);
  const end = offset + run;
  let folios = 0;
  for (let at = offset; at < end;) {
    // Small folios exist only where every page has a state entry of its own.
    if (stride === 0) {
      const small = maskedRun(memmap.order, memmap.orderWords, base + at, base + end, 0xff, 0);
      folios += small;
      at += small;
    }
    if (at >= end) break;
    folios++;
    const folioOrder = memmap.order[base + (at >>> stride)];
    at = ((at >>> folioOrder) + 1) << folioOrder;
  }
  pass.folios += folios;
  return from + run;
}
