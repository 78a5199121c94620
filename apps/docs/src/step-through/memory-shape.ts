/** What of a mapping stays as it is while steps go by: its frames, and the IOMMU's leaves. */

/** Where the frames of a mapping lie, and how the IOMMU maps them. */
export interface MemoryShape {
  /** Length of the mapping in pages. */
  readonly npage: number;
  /** First virtual page. */
  readonly vaddr: number;
  /** First I/O virtual page. */
  readonly iovaPn: number;
  /** log2 of a folio's size in pages; all have the same. */
  readonly folioOrder: number;
  /** Of each folio in the order of its addresses: its first page frame, from the page table. */
  readonly folioPfns: Uint32Array;
  /** Index of the first page of each run of IOMMU leaves of one size, when all is mapped. */
  readonly leafStarts: Float64Array;
  /** log2 of the size in pages of these leaves. */
  readonly leafOrders: Uint8Array;
}

/**
 * The frame of a page.
 *
 * @param folioPfns first frames of the folios, in the order of their addresses
 * @param folioOrder log2 of a folio's size in pages
 * @param page index in the mapping
 * @returns its page frame number
 */
export function pfnOf(folioPfns: Uint32Array, folioOrder: number, page: number): number {
  const size = 2 ** folioOrder;
  const folio = Math.floor(page / size);
  return folioPfns[folio] + (page - folio * size);
}

/**
 * Size of the IOMMU leaf that maps a page when all is mapped.
 *
 * @param starts index of the first page of each run of leaves of one size
 * @param orders their sizes
 * @param page index in the mapping
 * @returns log2 of the leaf's size in pages
 */
export function leafOrderAt(starts: Float64Array, orders: Uint8Array, page: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle] <= page) low = middle + 1;
    else high = middle;
  }
  return orders[Math.max(0, low - 1)];
}
