/**
 * A scatter list that grows: a page array at a time, neighbours merged into one entry.
 *
 * Left out: how the entries' memory is allocated, in chained blocks of a page.
 *
 * @source lib/scatterlist.c sg_alloc_append_table_from_pages, 6.16; reference mm.md §9
 */
import { Slot, type PageNumbers, type Pfn } from '@pinfold/base';
import { numPfnsContiguous } from './contiguity.ts';
import type { MemMap } from './memmap.ts';
import type { Memory } from './memory.ts';

/** What an entry's length, 32 bits of bytes, can hold: the usual limit. */
export const SG_MAX_SEGMENT: number = 2 ** 32 - 1;

/** A scatter list that can be appended to (struct sg_append_table). */
export class SgAppendTable {
  /** Per entry: its first page frame. */
  pfn: Float64Array = new Float64Array(16);
  /** Per entry: its length in pages. */
  npage: Float64Array = new Float64Array(16);
  /** Per entry: pages in the entries before it. */
  first: Float64Array = new Float64Array(16);
  /** Per entry: 1 if it has pages; 0 if it is addresses only, as those of a device are. */
  hasPages: Uint8Array = new Uint8Array(16);
  /** Number of entries. */
  nents = 0;
  /** Pages in all entries. */
  pages = 0;

  /**
   * Appends addresses of a device, which have no `struct page`, in an entry of their own; or to the
   * last entry, if that has no pages either and they follow it.
   *
   * @param pfn first page frame
   * @param npage length in pages
   * @source drivers/dma-buf users' scatter lists: sg_set_page with NULL, 6.16
   */
  appendAddresses(pfn: Pfn, npage: number): void {
    const last = this.nents - 1;
    if (last >= 0 && this.hasPages[last] === 0 && this.pfn[last] + this.npage[last] === pfn) {
      this.extend(npage);
      return;
    }
    this.reserve(1);
    this.append(pfn, npage, 0);
  }

  /**
   * Makes room for entries.
   *
   * @param more entries that will be appended
   */
  reserve(more: number): void {
    const needed = this.nents + more;
    if (needed <= this.pfn.length) return;
    const length = Math.max(needed, 2 * this.pfn.length);
    this.pfn = grown(this.pfn, length);
    this.npage = grown(this.npage, length);
    this.first = grown(this.first, length);
    const hasPages = new Uint8Array(length);
    hasPages.set(this.hasPages);
    this.hasPages = hasPages;
  }

  /**
   * Appends an entry for which there is room.
   *
   * @param pfn first page frame
   * @param npage length in pages
   * @param hasPages 1 if it has pages
   */
  append(pfn: Pfn, npage: number, hasPages: number): void {
    const at = this.nents++;
    this.pfn[at] = pfn;
    this.npage[at] = npage;
    this.first[at] = this.pages;
    this.hasPages[at] = hasPages;
    this.pages += npage;
  }

  /**
   * Makes the last entry longer.
   *
   * @param npage pages to add
   */
  extend(npage: number): void {
    this.npage[this.nents - 1] += npage;
    this.pages += npage;
  }

  /**
   * The entry that holds a page of the list.
   *
   * @param page index of the page, less than `pages`
   * @returns index of the entry
   */
  entryOf(page: number): number {
    let low = 0;
    let high = this.nents - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.first[middle] <= page) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/**
 * Appends a page array. Its first pages join the last entry as far as they continue it; of the rest,
 * a first pass counts the entries and a second one makes them, with the same compares.
 *
 * @param memory the machine's memory
 * @param table the scatter list
 * @param pages page array
 * @param npage entries of the array to append
 * @param maxSegment most bytes of an entry, at least one page; default {@link SG_MAX_SEGMENT}
 * @source lib/scatterlist.c sg_alloc_append_table_from_pages, 6.16
 */
export function sgAllocAppendTableFromPages(
  memory: Memory,
  table: SgAppendTable,
  pages: PageNumbers,
  npage: number,
  maxSegment: number = SG_MAX_SEGMENT,
): void {
  const { memmap, counters } = memory;
  const max = Math.floor(maxSegment / memmap.geometry.pageSize);
  const work = new MergeWork();
  const from = joinLast(memmap, table, pages, npage, max, work);
  let chunks = 0;
  for (let at = from; at < npage; chunks++) at += mergeable(memmap, pages, at, npage, max, work);
  table.reserve(chunks);
  for (let at = from; at < npage;) {
    const length = mergeable(memmap, pages, at, npage, max, work);
    table.append(memmap.pageToPfn(pages[at]), length, 1);
    at += length;
  }
  counters.add(Slot.mergeCompares, work.compares);
  counters.add(Slot.sgEntries, chunks);
}

/** Compares of one call. */
class MergeWork {
  compares = 0;
}

/**
 * Lets pages join the last entry: one compare of its end with the first page, then one per page with
 * the page before.
 *
 * @returns pages that have joined it
 */
function joinLast(
  memmap: MemMap,
  table: SgAppendTable,
  pages: PageNumbers,
  npage: number,
  max: number,
  work: MergeWork,
): number {
  const last = table.nents - 1;
  if (last < 0 || table.hasPages[last] === 0) return 0;
  const next = table.pfn[last] + table.npage[last];
  work.compares++;
  if (memmap.pageToPfn(pages[0]) !== next) return 0;
  const alike = numPfnsContiguous(memmap, pages, 0, npage, next);
  const joined = Math.min(alike, max - table.npage[last]);
  // The compare that ends it: a page that does not continue the entry, or would make it too long.
  work.compares += Math.min(npage, joined + 1);
  table.extend(joined);
  return joined;
}

/** Length of the entry that begins with a page: compares until one fails or the entry is full. */
function mergeable(
  memmap: MemMap,
  pages: PageNumbers,
  at: number,
  end: number,
  max: number,
  work: MergeWork,
): number {
  const most = Math.min(end - at, max);
  const length = numPfnsContiguous(memmap, pages, at, most, memmap.pageToPfn(pages[at]));
  work.compares += length < most ? length : length - 1;
  return length;
}

function grown(old: Float64Array, length: number): Float64Array {
  const array = new Float64Array(length);
  array.set(old);
  return array;
}
