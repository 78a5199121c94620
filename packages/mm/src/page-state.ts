/**
 * What is kept of every page: its flags, and the arrays of one machine.
 *
 * @source reference mm.md §4; include/linux/page-flags.h, 6.16
 */

/** Page flags that DMA mapping meets. */
export const PG = {
  /** PG_reserved: boot-reserved, firmware, holes in an early section; never user memory. */
  reserved: 1,
  /** PG_dirty, kept on the folio's head. */
  dirty: 2,
  /** The folio is a hugetlb page. */
  hugetlb: 4,
  /** The folio is anonymous memory. */
  anon: 8,
  /** The folio is of shmem: a file without a disk behind it. */
  swapbacked: 16,
} as const;

/** Runs of entries that {@link PageStateArrays} keeps apart before it takes all of them as one. */
const MAX_USED = 4096;

/**
 * The arrays of a memory map. Those of a machine that is not used any more can serve the next one:
 * what it has used is cleared, and nothing else, for the state of a section is larger than a cache.
 */
export class PageStateArrays {
  /** References per folio. */
  refcount: Int32Array = new Int32Array(1024);
  /** Pins per large folio. */
  pincount: Int32Array = new Int32Array(1024);
  /** {@link PG} bits. */
  flags: Uint8Array = new Uint8Array(1024);
  /** Order of the folio. */
  order: Uint8Array = new Uint8Array(1024);

  /** Runs of entries that may hold something: the first entry of each, and the one after its last. */
  readonly #used: number[] = [];

  /**
   * Takes note of entries that are written for the first time since {@link clear}.
   *
   * @param from first entry
   * @param to entry after the last
   */
  use(from: number, to: number): void {
    const used = this.#used;
    const last = used.length - 1;
    if (used[last] === from) {
      used[last] = to;
      return;
    }
    if (used.length === 2 * MAX_USED) {
      const end = used.reduce((most, entry) => Math.max(most, entry), 0);
      used.length = 0;
      used.push(0, end);
    }
    used.push(from, to);
  }

  /** Clears everything. */
  clear(): void {
    const { refcount, pincount, flags, order } = this;
    const used = this.#used;
    for (let i = 0; i < used.length; i += 2) {
      for (const field of [refcount, pincount, flags, order]) field.fill(0, used[i], used[i + 1]);
    }
    used.length = 0;
  }

  /**
   * Makes them longer, and keeps what is in them.
   *
   * @param size entries, a multiple of 4
   */
  grow(size: number): void {
    const { refcount, pincount, flags, order } = this;
    (this.refcount = new Int32Array(size)).set(refcount);
    (this.pincount = new Int32Array(size)).set(pincount);
    (this.flags = new Uint8Array(size)).set(flags);
    (this.order = new Uint8Array(size)).set(order);
  }
}
