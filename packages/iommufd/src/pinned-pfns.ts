/**
 * The frames of pages that accesses hold, by page index (the xarray `pinned_pfns`).
 *
 * @source drivers/iommu/iommufd/pages.c struct iopt_pages, pages_to_xarray, clear_xarray, 7.2
 */
import type { Pfn } from '@pinfold/base';

/** Entries of one chunk. */
const CHUNK = 512;

/** Frames by page index. */
export class PinnedPfns {
  readonly #chunks = new Map<number, Float64Array>();

  /**
   * The frame of a page.
   *
   * @param index page index
   * @returns the frame, or -1 if there is none
   */
  get(index: number): Pfn {
    const chunk = this.#chunks.get(Math.floor(index / CHUNK));
    return chunk === undefined ? -1 : chunk[index % CHUNK] - 1;
  }

  /**
   * Stores the frame of a page.
   *
   * @param index page index
   * @param pfn the frame
   */
  set(index: number, pfn: Pfn): void {
    const key = Math.floor(index / CHUNK);
    let chunk = this.#chunks.get(key);
    if (chunk === undefined) this.#chunks.set(key, (chunk = new Float64Array(CHUNK)));
    chunk[index % CHUNK] = pfn + 1;
  }

  /**
   * Forgets the frames of pages.
   *
   * @param first first page index
   * @param last last page index, inclusive
   */
  clear(first: number, last: number): void {
    for (let index = first; index <= last;) {
      const key = Math.floor(index / CHUNK);
      const end = Math.min(last + 1, (key + 1) * CHUNK);
      const chunk = this.#chunks.get(key);
      chunk?.fill(0, index % CHUNK, (index % CHUNK) + (end - index));
      if (chunk?.every((entry) => entry === 0)) this.#chunks.delete(key);
      index = end;
    }
  }

  /** Number of pages that have a frame: for invariants. */
  get size(): number {
    let size = 0;
    for (const chunk of this.#chunks.values()) size += chunk.filter((entry) => entry > 0).length;
    return size;
  }
}
