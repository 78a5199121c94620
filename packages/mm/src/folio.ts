/**
 * Reference and pin counts of a folio: taking and dropping pins.
 *
 * A pin of a small folio adds {@link GUP_PIN_COUNTING_BIAS} to its reference count (1 atomic); a
 * pin of a large folio adds 1 to its reference count and to its pincount (2 atomics).
 *
 * @source mm/gup.c try_grab_folio, gup_put_folio, 6.16; reference mm.md §3
 */
import { KernelBug, maskedRun, type Pfn } from '@pinfold/base';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';

/** What a pin adds to the reference count of a small folio. */
export const GUP_PIN_COUNTING_BIAS = 1024;

/**
 * Pins the folio of a page (FOLL_PIN).
 *
 * @param memmap memory map
 * @param pfn any page of the folio
 * @param refs pins to take
 * @returns atomic operations done: 1 or 2; 0 if refused because the count is not positive (free
 *   page or overflow)
 * @source mm/gup.c try_grab_folio, 6.16
 */
export function tryGrabFolio(memmap: MemMap, pfn: Pfn, refs: number): number {
  const head = memmap.headEntryOf(pfn);
  if (memmap.refcount[head] <= 0) return 0;
  if (memmap.order[head] === 0) {
    memmap.refcount[head] += refs * GUP_PIN_COUNTING_BIAS;
    return 1;
  }
  memmap.refcount[head] += refs;
  memmap.pincount[head] += refs;
  return 2;
}

/**
 * Drops pins of the folio of a page, and frees the folio with its last reference.
 *
 * @param memmap memory map
 * @param pfn any page of the folio
 * @param refs pins to drop
 * @returns atomic operations done: 1 or 2
 * @throws {KernelBug} when the folio holds fewer pins: the kernel would corrupt its count
 * @source mm/gup.c gup_put_folio, 6.16
 */
export function gupPutFolio(memmap: MemMap, pfn: Pfn, refs: number): number {
  const head = memmap.headEntryOf(pfn);
  const large = memmap.order[head] > 0;
  const count = large ? refs : refs * GUP_PIN_COUNTING_BIAS;
  const held = large ? memmap.pincount[head] : memmap.refcount[head];
  if (held < count)
    throw new KernelBug('gup_put_folio', `pfn ${pfn} holds fewer than ${refs} pins`);
  if (large) memmap.pincount[head] -= refs;
  memmap.refcount[head] -= count;
  if (memmap.refcount[head] === 0) memmap.freeFolio(pfn);
  return large ? 2 : 1;
}

/**
 * Takes plain references of a folio (folio_ref_add).
 *
 * @param memmap memory map
 * @param pfn any page of the folio
 * @param refs references to take
 * @source include/linux/page_ref.h folio_ref_add, 6.16
 */
export function folioRefAdd(memmap: MemMap, pfn: Pfn, refs: number): void {
  memmap.refcount[memmap.headEntryOf(pfn)] += refs;
}

/**
 * Drops plain references of a folio, and frees it with the last one.
 *
 * @param memmap memory map
 * @param pfn any page of the folio
 * @param refs references to drop
 * @throws {KernelBug} when the folio has fewer
 * @source include/linux/mm.h folio_put_refs, 6.16
 */
export function folioPutRefs(memmap: MemMap, pfn: Pfn, refs: number): void {
  const head = memmap.headEntryOf(pfn);
  if (memmap.refcount[head] < refs)
    throw new KernelBug('folio_put_refs', `pfn ${pfn} has fewer than ${refs} references`);
  memmap.refcount[head] -= refs;
  if (memmap.refcount[head] === 0) memmap.freeFolio(pfn);
}

/**
 * Whether a folio may be pinned for DMA: exact for large folios, for small ones a count of at
 * least one bias, which plain references can reach too.
 *
 * @param memmap memory map
 * @param pfn any page of the folio
 * @returns true if it may be pinned
 * @source include/linux/mm.h folio_maybe_dma_pinned, 6.16
 */
export function folioMaybeDmaPinned(memmap: MemMap, pfn: Pfn): boolean {
  const head = memmap.headEntryOf(pfn);
  return memmap.order[head] > 0
    ? memmap.pincount[head] > 0
    : memmap.refcount[head] >= GUP_PIN_COUNTING_BIAS;
}

/**
 * Order of the folio that a page belongs to (folio_order).
 *
 * @param memmap memory map
 * @param pfn page frame with a memory map
 * @returns the order
 * @source include/linux/mm.h folio_order, 6.16
 */
export function folioOrderOf(memmap: MemMap, pfn: Pfn): number {
  return memmap.order[memmap.headEntryOf(pfn)];
}

/**
 * Pages from one to the end of its folio (folio_nr_pages less folio_page_idx).
 *
 * @param memmap memory map
 * @param pfn page frame with a memory map
 * @returns pages, this one included
 * @source include/linux/mm.h folio_nr_pages, folio_page_idx, 6.16
 */
export function folioPagesLeft(memmap: MemMap, pfn: Pfn): number {
  const npage = 1 << folioOrderOf(memmap, pfn);
  return npage - (pfn & (npage - 1));
}

/**
 * Marks a folio dirty unless it is; only a clean one is locked for it.
 *
 * @param memmap memory map
 * @param head state entry of the folio's head
 * @returns 1 if the folio was locked and marked, 0 if it was dirty already
 * @source mm/gup.c unpin_user_pages_dirty_lock, 6.16
 */
export function dirtyFolioLock(memmap: MemMap, head: number): number {
  if (memmap.flags[head] & PG.dirty) return 0;
  memmap.flags[head] |= PG.dirty;
  return 1;
}

/**
 * Adds to counts, one after the other, while each is positive and stays so.
 *
 * @param counts reference counts
 * @param from index of the first count
 * @param end index after the last count
 * @param add what to add; negative to subtract
 * @returns how many were changed; the one that ended it was not positive, or would not have stayed so
 * @source mm/gup.c try_grab_folio and gup_put_folio of order-0 folios, 6.16
 */
function addToPositive(counts: Int32Array, from: number, end: number, add: number): number {
  const least = add < 0 ? 1 - add : 1;
  let i = from;
  for (; i < end; i++) {
    const count = counts[i];
    if (count < least) break;
    counts[i] = count + add;
  }
  return i - from;
}

/**
 * Takes or drops a pin of every small folio of consecutive pages, one after the other.
 *
 * @param memmap memory map
 * @param first state entry of the first page, in a section with an entry per page
 * @param npage number of pages
 * @param add what to add to each reference count
 * @returns folios changed; it ends before a large folio, a refused grab or a last reference
 * @source mm/gup.c try_grab_folio and gup_put_folio of order-0 folios, 6.16
 */
export function addToSmallFolios(
  memmap: MemMap,
  first: number,
  npage: number,
  add: number,
): number {
  const small = maskedRun(memmap.order, memmap.orderWords, first, first + npage, 0xff, 0);
  return addToPositive(memmap.refcount, first, first + small, add);
}
