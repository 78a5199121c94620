/**
 * Extents: physically contiguous runs of pages, each its first frame and its length, in two typed
 * arrays. What walks leaves of a page table hands its result on so: eight bytes for a run of any
 * length, and no object per run.
 */
import { NARROW_END, type PageNumbers } from './page-numbers.ts';

/** Pages that an extent has at most: 4 TiB. A longer run goes on in the next one. */
export const MAX_EXTENT: number = 2 ** 30;

/** {@link Extents.unit} of extents that are not alike. */
export const MIXED = -1;

/** Extents in the order of their addresses. */
export class Extents {
  /** First page frame of each. */
  pfn: PageNumbers;
  /** Length of each in pages; negative where the pages hold no pin, as those of a device. */
  readonly npage: Int32Array;
  /** Number of extents. */
  count: number;
  /** Whether something was left out that would have been one extent more. */
  full = false;
  /**
   * Length in pages of all extents, if they have the same and begin at a multiple of it, so that
   * whoever takes them one by one need not look; {@link MIXED} if not, 0 while there are none.
   */
  unit = 0;

  /**
   * @param pfn first page frames
   * @param npage lengths; as many as frames
   * @param count how many extents there are, from the beginning on; default 0
   */
  constructor(pfn: PageNumbers, npage: Int32Array, count = 0) {
    this.pfn = pfn;
    this.npage = npage;
    this.count = count;
  }

  /**
   * The same extents in arrays without room for more.
   *
   * @returns a copy
   */
  compact(): Extents {
    const { count } = this;
    return new Extents(this.pfn.slice(0, count), this.npage.slice(0, count), count);
  }

  /** Forgets all extents. */
  clear(): void {
    this.count = this.unit = 0;
    this.full = false;
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
      this.unit = MIXED;
      return true;
    }
    if (this.count === this.capacity) {
      this.full = true;
      return false;
    }
    const whole = pfn % npage === 0 && (this.count === 0 || this.unit === npage);
    this.unit = whole ? npage : MIXED;
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
