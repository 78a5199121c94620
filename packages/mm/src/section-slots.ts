/** Where the sections' arrays of `struct page` lie under classic sparsemem. */

/** No section has its array there. */
const FREE = -1;

/**
 * A permutation of the sections with gaps: the arrays of neighbouring sections may be apart, and those
 * of strangers adjacent. Slot n holds the pointers from n times the pages of a section on.
 *
 * @source reference mm.md §2
 */
export class SectionSlots {
  /** Number of slots. */
  readonly count: number;
  readonly #slotOf: Int32Array;
  readonly #sectionOf: Int32Array;

  /**
   * A multiplicative hash permutes the sections over twice as many slots; slot 0 stays NULL.
   *
   * @param sections number of sections
   * @param present whether a section has an array
   * @param seed chooses the permutation
   */
  constructor(sections: number, present: (section: number) => boolean, seed: number) {
    const count = 2 ** Math.ceil(Math.log2(2 * sections + 2));
    this.count = count;
    this.#slotOf = new Int32Array(sections);
    this.#sectionOf = new Int32Array(count).fill(FREE);
    for (let section = 0; section < sections; section++) {
      if (!present(section)) continue;
      let slot = (Math.imul(section + 1 + seed, 0x9e3779b1) >>> 3) % count;
      while (slot === 0 || this.#sectionOf[slot] !== FREE) slot = (slot + 1) % count;
      this.#slotOf[section] = slot;
      this.#sectionOf[slot] = section;
    }
  }

  /**
   * The slot of a section's array.
   *
   * @param section number of the section
   * @returns the slot; 0 if it has no array
   */
  slotOf(section: number): number {
    return this.#slotOf[section] ?? 0;
  }

  /**
   * The section whose array lies in a slot.
   *
   * @param slot number of the slot
   * @returns the section; below 0 if there is none
   */
  sectionOf(slot: number): number {
    return this.#sectionOf[slot] ?? FREE;
  }
}
