/** Ranges of bytes that do not overlap, in order. */

/** A range. */
export interface Range {
  /** First byte. */
  readonly from: bigint;
  /** The byte after the last. */
  readonly to: bigint;
}

/** A set of bytes, kept as the ranges that it is made of. */
export class Ranges {
  #ranges: Range[] = [];

  /** The ranges in order. */
  get list(): readonly Range[] {
    return this.#ranges;
  }

  /** All bytes in them. */
  get bytes(): bigint {
    return this.#ranges.reduce((sum, { from, to }) => sum + to - from, 0n);
  }

  /**
   * Adds a range; what lies in it already, or meets it, becomes one with it.
   *
   * @param from first byte
   * @param to the byte after the last
   * @param within ranges that are no farther away than this become one, too
   */
  add(from: bigint, to: bigint, within = 0n): void {
    if (to <= from) return;
    const first = this.#firstEnding(from - within);
    let [low, high, last] = [from, to, first];
    for (; last < this.#ranges.length && this.#ranges[last].from <= to + within; last++) {
      const range = this.#ranges[last];
      if (range.from < low) low = range.from;
      if (range.to > high) high = range.to;
    }
    this.#ranges.splice(first, last - first, { from: low, to: high });
  }

  /**
   * Takes a range out.
   *
   * @param from first byte
   * @param to the byte after the last
   */
  remove(from: bigint, to: bigint): void {
    const first = this.#firstEnding(from + 1n);
    let last = first;
    while (last < this.#ranges.length && this.#ranges[last].from < to) last++;
    if (last === first) return;
    const [low, high] = [this.#ranges[first].from, this.#ranges[last - 1].to];
    const left = low < from ? [{ from: low, to: from }] : [];
    const right = high > to ? [{ from: to, to: high }] : [];
    this.#ranges.splice(first, last - first, ...left, ...right);
  }

  /**
   * The parts of the set that lie in a range.
   *
   * @param from first byte
   * @param to the byte after the last
   * @returns the parts in order
   */
  within(from: bigint, to: bigint): Range[] {
    const parts: Range[] = [];
    for (let i = this.#firstEnding(from + 1n); i < this.#ranges.length; i++) {
      const range = this.#ranges[i];
      if (range.from >= to) break;
      parts.push({
        from: range.from > from ? range.from : from,
        to: range.to < to ? range.to : to,
      });
    }
    return parts;
  }

  /**
   * The parts of a range that are not in the set.
   *
   * @param from first byte
   * @param to the byte after the last
   * @returns the parts in order
   */
  gaps(from: bigint, to: bigint): Range[] {
    const gaps: Range[] = [];
    let at = from;
    for (const part of this.within(from, to)) {
      if (part.from > at) gaps.push({ from: at, to: part.from });
      at = part.to;
    }
    if (at < to) gaps.push({ from: at, to });
    return gaps;
  }

  /**
   * The whole range of the set in which a byte lies.
   *
   * @param byte the byte
   * @returns the range; undefined if it lies in none
   */
  at(byte: bigint): Range | undefined {
    const index = this.#firstEnding(byte + 1n);
    if (index >= this.#ranges.length) return undefined;
    const range = this.#ranges[index];
    return range.from <= byte ? range : undefined;
  }

  /** Index of the first range that ends at a byte or after it. */
  #firstEnding(byte: bigint): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle].to < byte) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
