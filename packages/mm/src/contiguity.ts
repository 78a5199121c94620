/**
 * Is the next `struct page` the next page frame? The helpers that answer this for both memory
 * models: in most configurations a pointer compare is a pfn compare, under classic sparsemem it is
 * only inside one section.
 *
 * @source reference mm.md §4; include/linux/mm_inline.h, include/linux/page_ext.h, 6.18
 */
import type { Page, Pfn, PageNumbers } from '@pinfold/base';
import type { MemMap } from './memmap.ts';

/**
 * How many entries of a page array, from one on, are consecutive pages: each pointer is the one
 * before plus one, and the section stays the same. Under classic sparsemem the result may be less
 * than the true run, which ends at the section's border; the caller then compares pfns.
 *
 * It makes `result` compares if it ends at a mismatch, else `nr - 1`.
 *
 * @param memmap memory map
 * @param pages page array
 * @param offset index of the first entry
 * @param nr number of entries to look at, at least 1
 * @returns length of the run in pages, 1 to nr
 * @source include/linux/mm_inline.h num_pages_contiguous, 6.18
 */
export function numPagesContiguous(
  memmap: MemMap,
  pages: PageNumbers,
  offset: number,
  nr: number,
): number {
  const run = consecutiveRun(pages, offset, offset + nr);
  return run === 1 ? 1 : Math.min(run, pagesLeftInSection(memmap, pages[offset]));
}

/**
 * Length of the run of consecutive numbers that begins at an element: one compare with the element
 * before per step. The difference of two elements needs neither a conversion of the index nor a sum
 * carried from step to step, which makes it the fastest form of this loop.
 *
 * @param numbers page pointers or page frames
 * @param from index of the first element
 * @param end index after the last element to look at, above `from`
 * @returns 1 to end - from
 * @source include/linux/mm_inline.h num_pages_contiguous (the loop), 6.18
 */
export function consecutiveRun(numbers: PageNumbers, from: number, end: number): number {
  let before = numbers[from];
  let i = from + 1;
  for (; i < end; i++) {
    const number = numbers[i];
    if (number - before !== 1) break;
    before = number;
  }
  return i - from;
}

/**
 * How many entries of a page array, from one on, are the pages of consecutive frames: one compare
 * of page_to_pfn with the expected frame each, and one more that fails if it ends early.
 *
 * @param memmap memory map
 * @param pages page array
 * @param offset index of the first entry
 * @param nr number of entries to look at
 * @param pfn frame that the first entry should have
 * @returns length of the run in pages, 0 to nr
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote (the compare), 6.16
 */
export function numPfnsContiguous(
  memmap: MemMap,
  pages: PageNumbers,
  offset: number,
  nr: number,
  pfn: Pfn,
): number {
  const { sectionPages, sectionMask } = memmap;
  let run = 0;
  while (run < nr && memmap.pageToPfn(pages[offset + run]) === pfn + run) {
    // Inside a section, pages whose pointers are consecutive have consecutive frames.
    const left = sectionPages - ((pfn + run) & sectionMask);
    run += consecutiveRun(pages, offset + run, offset + Math.min(nr, run + left));
  }
  return run;
}

/** A pointer run can leave a section's memmap only under classic sparsemem, at its end. */
function pagesLeftInSection(memmap: MemMap, page: Page): number {
  const { model, sectionPages } = memmap;
  return model === 'sparsemem' ? sectionPages - (page % sectionPages) : Infinity;
}

/**
 * The page n pfns after another, through the pfn (nth_page; removed from the kernel in 6.18).
 *
 * @param memmap memory map
 * @param page a `struct page`
 * @param n distance in pages
 * @returns the `struct page` of the pfn that lies n further
 * @source include/linux/mm.h nth_page, 6.16
 */
export function nthPage(memmap: MemMap, page: Page, n: number): Page {
  return memmap.model === 'sparsemem' ? memmap.pfnToPage(memmap.pageToPfn(page) + n) : page + n;
}

/**
 * Whether `page + i` is the page of `pfn + i` for a whole range: one test per section border.
 *
 * @param memmap memory map
 * @param page first page
 * @param npage length of the range in pages
 * @returns true if pointer arithmetic is right all over the range
 * @source mm/util.c page_range_contiguous, 6.18
 */
export function pageRangeContiguous(memmap: MemMap, page: Page, npage: number): boolean {
  if (memmap.model !== 'sparsemem') return true;
  const { sectionPages } = memmap;
  const pfn = memmap.pageToPfn(page);
  const end = pfn + npage;
  let border = (Math.floor(pfn / sectionPages) + 1) * sectionPages;
  for (; border < end; border += sectionPages) {
    if (!memmap.pfnValid(border) || page + (border - pfn) !== memmap.pfnToPage(border))
      return false;
  }
  return true;
}

/**
 * Whether the extension of the page at this pfn lies right after the one before it.
 *
 * @param memmap memory map
 * @param pfn page frame reached by the iteration
 * @returns false at the first page of a section, where the slow look-up is needed
 * @source include/linux/page_ext.h page_ext_iter_next_fast_possible, 6.18
 */
export function pageExtIterNextFastPossible(memmap: MemMap, pfn: Pfn): boolean {
  return memmap.model === 'sparsemem-vmemmap' || pfn % memmap.sectionPages !== 0;
}
