/** Where a page table was written since somebody looked: from there on, all else is as it was. */

/** The smallest range that contains every page whose entry was written. */
export class WrittenRange {
  /** First page; Infinity if none was written. */
  first: number;
  /** The page after the last one. */
  end = 0;

  /** Nothing is written yet. */
  constructor() {
    this.first = Infinity;
  }

  /**
   * Notes pages whose entries are written.
   *
   * @param first the first of them
   * @param npage how many, 0 for none
   */
  add(first: number, npage: number): void {
    if (npage === 0) return;
    if (first < this.first) this.first = first;
    if (first + npage > this.end) this.end = first + npage;
  }

  /** Whether nothing was written. */
  get isEmpty(): boolean {
    return this.end === 0;
  }

  /** Begins anew: what was written so far is known. */
  clear(): void {
    this.first = Infinity;
    this.end = 0;
  }
}
