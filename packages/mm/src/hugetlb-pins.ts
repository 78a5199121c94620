/**
 * Pins of many pages of one hugetlb page, taken and dropped by arithmetic on its counts instead of
 * by GUP: what a patch of 2020 did to pin a huge page in one go. No kernel has these functions.
 *
 * @source reference strategies.md (b); mm/gup.c, 5.9
 */
import { KernelBug, Slot, type Pfn } from '@pinfold/base';
import { dirtyFolioLock, gupPutFolio } from './folio.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import type { Memory } from './memory.ts';

/**
 * Whether a page belongs to a hugetlb page (PageHuge). The caller counts the tests.
 *
 * @param memmap memory map
 * @param pfn page frame
 * @returns false also where there is no memory map
 * @source mm/hugetlb.c PageHuge, 5.9
 */
export function pageHuge(memmap: MemMap, pfn: Pfn): boolean {
  return memmap.pfnValid(pfn) && (memmap.flags[memmap.headEntryOf(pfn)] & PG.hugetlb) !== 0;
}

/**
 * Adds pins to both counts of a hugetlb page. Unlike a grab, it does not see a count that is about
 * to overflow: the sum wraps.
 *
 * @param memory the machine's memory
 * @param pfn any page of it
 * @param npage pins to add
 * @source reference strategies.md (b)
 */
export function addHugetlbPins(memory: Memory, pfn: Pfn, npage: number): void {
  const { memmap, counters } = memory;
  const head = memmap.headEntryOf(pfn);
  memmap.pincount[head] += npage;
  memmap.refcount[head] += npage;
  memory.vmstat.nrFollPinAcquired += npage;
  counters.add(Slot.bulkPins, 1);
  counters.add(Slot.grabAtomics, 2);
}

/**
 * Drops pins of pages of a hugetlb page at once, if they all lie in it and it has so many.
 *
 * @param memory the machine's memory
 * @param pfn first page
 * @param npage number of pages
 * @param makeDirty whether the device may have written to them
 * @returns false, and nothing done, if they do not or it has not
 * @throws {KernelBug} when the last page has no memory map
 * @source reference strategies.md (b)
 */
export function subHugetlbPins(
  memory: Memory,
  pfn: Pfn,
  npage: number,
  makeDirty: boolean,
): boolean {
  const { memmap, counters } = memory;
  const last = pfn + npage - 1;
  if (!memmap.pfnValid(last))
    throw new KernelBug('hugetlb_put_pfn', `pfn ${last} has no struct page to read`);
  const head = memmap.headEntryOf(pfn);
  if (memmap.headEntryOf(last) !== head) return false;
  if (memmap.refcount[head] < npage || memmap.pincount[head] < npage) return false;
  if (makeDirty) {
    counters.add(Slot.dirtyTests, 1);
    const locks = dirtyFolioLock(memmap, head);
    counters.add(Slot.dirtyLocks, locks);
    counters.add(Slot.dirtyLocksLarge, locks);
  }
  counters.add(Slot.putCalls, 1);
  counters.add(Slot.putAtomics, gupPutFolio(memmap, pfn, npage));
  memory.vmstat.nrFollPinReleased += npage;
  return true;
}
