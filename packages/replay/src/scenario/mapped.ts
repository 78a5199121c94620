/** The DMA mappings while the calls of a log are made. */
import type { LoggedCall, Place } from '../log/entries.ts';

/** A mapping. */
export interface Mapping {
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Address of the process. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Where it was made. */
  readonly at: Place;
}

const UNMAP_ALL = 2;
const UNMAP_VADDR = 4;
const MAP_VADDR = 4;

/** Follows the mappings. */
export class MappedRanges {
  /** The mappings by address. */
  #mappings: Mapping[] = [];
  /** Whether an unmap takes whole mappings that begin in its range (type1 v1). */
  v1 = false;
  /** Whether the list is not in order at the moment. */
  #isSorted = true;

  /** The mappings in address order. */
  get list(): readonly Mapping[] {
    if (!this.#isSorted) this.#mappings.sort((a, b) => (a.iova < b.iova ? -1 : 1));
    this.#isSorted = true;
    return this.#mappings;
  }

  /** Number of mappings. */
  get count(): number {
    return this.#mappings.length;
  }

  /**
   * The mappings that have an address in a range.
   *
   * @param iova first address
   * @param size length in bytes
   * @returns the mappings in order
   */
  overlapping(iova: bigint, size: bigint): Mapping[] {
    const { list } = this;
    const found: Mapping[] = [];
    for (let i = this.#firstEndingAfter(iova); i < list.length; i++) {
      if (list[i].iova >= iova + size) break;
      found.push(list[i]);
    }
    return found;
  }

  /**
   * Takes a call in that succeeded.
   *
   * @param call the call
   */
  after(call: LoggedCall): void {
    if (call.op === 'close') this.#mappings = [];
    if (call.op === 'map' && (call.flags & MAP_VADDR) === 0) {
      const { iova, va, size, at } = call;
      const last = this.#mappings.at(-1);
      if (last && last.iova > iova) this.#isSorted = false;
      this.#mappings.push({ iova, va, size, at });
    }
    if (call.op !== 'unmap' || (call.flags & UNMAP_VADDR) !== 0) return;
    if (call.flags & UNMAP_ALL) {
      this.#mappings = [];
      return;
    }
    const gone = this.overlapping(call.iova, call.size).filter(
      ({ iova }) => !this.v1 || iova >= call.iova,
    );
    if (gone.length === 0) return;
    // They follow each other: the list is in order after the look-up.
    const from = this.#mappings.indexOf(gone[0]);
    this.#mappings.splice(from, gone.length);
  }

  #firstEndingAfter(iova: bigint): number {
    const { list } = this;
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (list[middle].iova + list[middle].size <= iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
