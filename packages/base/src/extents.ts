/**
 * Extents: physically contiguous runs of pages, each its first frame and its length, in two typed
 * arrays. What walks leaves of a page table hands its result on so: eight bytes for a run of any
 * length, and no object per run.
 */
import { NARROW_END, pageNumbers, type PageNumbers } from './page-numbers.ts';

/** Pages that an extent has at most: 4 TiB. A longer run goes on in the next one. */
export const MAX_EXTENT: number = 2 ** 30;

/** Extents in the order of their addresses. */
export class Extents {
  /** First page frame of each. */
  pfn: PageNumbers;
  /** Length of each in pages; negative where the pages hold no pin, as those of a device. */
  readonly npage: Int32Array;
  /** Number of extents. */
  count = 0;
  /** Whether something was left out that would have been one extent more. */
  full = false;

  /**
   * @param capacity extents that fit
   * @param end a bound: frames of memory are below it; frames of devices may lie anywhere
   */
  constructor(capacity: number, end: number) {
    this.pfn = pageNumbers(capacity, end);
    this.npage = new Int32Array(capacity);
  }

  /** Extents that fit. */
  get capacity(): number {
    return this.npage.length;
  }

  /** Bytes of the arrays. */
  get bytes(): number {
    return this.pfn.byteLength + this.npage.byteLength;
  }

  /**
   * Adds pages behind the last ones: to the last extent where they go on with it.
   *
   * @param pfn first page frame
   * @param npage number of pages, at most {@link MAX_EXTENT}
   * @param pinned whether they hold pins
   * @returns false, `full` set and nothing added, if they would be one extent too many
   */
  add(pfn: number, npage: number, pinned: boolean): boolean {
    const last = this.count - 1;
    const sign = pinned ? 1 : -1;
    const length = last < 0 ? 0 : this.npage[last] * sign;
    if (length > 0 && this.pfn[last] + length === pfn && length + npage <= MAX_EXTENT) {
      this.npage[last] = (length + npage) * sign;
      return true;
    }
    if (this.count === this.capacity) {
      this.full = true;
      return false;
    }
    this.#admit(pfn + npage);
    this.pfn[this.count] = pfn;
    this.npage[this.count] = npage * sign;
    this.count++;
    return true;
  }

  /** Makes room for frames of a device above all memory. */
  #admit(end: number): void {
    if (end <= NARROW_END || this.pfn instanceof Float64Array) return;
    this.pfn = Float64Array.from(this.pfn);
  }
}
