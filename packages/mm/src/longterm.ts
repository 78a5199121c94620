/**
 * The longterm pass over a page array: no page that is pinned for long may stay in movable memory.
 *
 * Left out: migration itself. A folio that would have to move counts as one whose migration fails,
 * which ends the call with ENOMEM and all its pins dropped.
 *
 * @source mm/gup.c check_and_migrate_movable_pages, 6.16; reference mm.md §5.1
 */
import { Slot } from '@pinfold/base';
import { PAGES_PER_SECTION } from './memmap.ts';
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
export function checkMigrateMovablePages(memory: Memory, pages: Float64Array, npage: number): number {
  const { memmap } = memory;
  let unpinnable = -1;
  for (let i = 0; i < npage; ) {
    const page = pages[i];
    const pfn = memmap.pageToPfn(page);
    const nr = Math.min(1 << memmap.order[memmap.headEntryOf(pfn)], PAGES_PER_SECTION);
    const first = page - (pfn & (nr - 1));
    const end = first + nr;
    if (unpinnable < 0 && !memmap.longtermPinnable(pfn)) unpinnable = i;
    i++;
    while (i < npage && pages[i] >= first && pages[i] < end) i++;
  }
  memory.counters.add(Slot.migrateChecks, npage);
  return unpinnable;
}
