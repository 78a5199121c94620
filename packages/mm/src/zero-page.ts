/**
 * The zero pages: mapped where anonymous memory was only read. A short pin to read takes them as
 * they are; a longterm pin never does.
 *
 * @source include/linux/mm.h is_zero_folio, mm/gup.c gup_put_folio, 6.16; reference mm.md §3
 */
import { pagesOf, type Pfn } from '@pinfold/base';
import type { Memory } from './memory.ts';

/** What {@link headEntryOrZero} says of the zero page. */
export const ZERO_PAGE = -1;
/** What it says of a page of the huge zero page. */
export const HUGE_ZERO_PAGE = -2;

/**
 * State entry of the head page of a page's folio. Zero pages have none: their counts are not kept.
 *
 * @param memory the machine's memory
 * @param pfn page frame
 * @returns the entry; below 0 {@link ZERO_PAGE} or {@link HUGE_ZERO_PAGE}
 * @source include/linux/mm.h is_zero_folio, 6.16
 */
export function headEntryOrZero(memory: Memory, pfn: Pfn): number {
  const { memmap, zeroPfn, hugeZeroPfn } = memory;
  const small = pfn === zeroPfn;
  const huge = pfn >= hugeZeroPfn && pfn < hugeZeroPfn + pagesOf(memmap.geometry.pmdOrder);
  // Where a machine has memory in their place, a page in use is an ordinary one.
  if ((small || huge) && !inUse(memory, pfn)) return small ? ZERO_PAGE : HUGE_ZERO_PAGE;
  return memmap.headEntryOf(pfn);
}

function inUse({ memmap }: Memory, pfn: Pfn): boolean {
  return memmap.pfnValid(pfn) && memmap.refcount[memmap.headEntryOf(pfn)] > 0;
}
