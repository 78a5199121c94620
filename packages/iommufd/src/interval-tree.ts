/**
 * Interval trees: which intervals overlap a range, in the order of their starts. The intervals may
 * overlap each other.
 *
 * Kept as an array in order, with the largest end up to each element: a look-up is a binary search,
 * and an insertion moves what comes after it, in one copy.
 *
 * @source include/linux/interval_tree.h, lib/interval_tree.c, 7.2
 */

/** An interval, both ends inclusive. */
export interface Interval<K extends number | bigint> {
  /** First element. */
  readonly start: K;
  /** Last element. */
  readonly last: K;
}

/** An interval tree. */
export class IntervalTree<K extends number | bigint, T extends Interval<K>> {
  readonly #items: T[] = [];
  /** Largest `last` of the items up to each. */
  readonly #reach: K[] = [];

  /** Number of intervals. */
  get size(): number {
    return this.#items.length;
  }

  /** All intervals, in the order of their starts. */
  get items(): readonly T[] {
    return this.#items;
  }

  /**
   * Adds an interval, after those of the same start.
   *
   * @param item the interval
   */
  insert(item: T): void {
    const at = this.#firstAfter(item.start);
    this.#items.splice(at, 0, item);
    this.#reach.splice(at, 0, item.last);
    this.#repair(at);
  }

  /**
   * Removes an interval.
   *
   * @param item an interval of the tree
   */
  remove(item: T): void {
    const at = this.#items.indexOf(item, this.#firstFrom(item.start));
    this.#items.splice(at, 1);
    this.#reach.splice(at, 1);
    this.#repair(at);
  }

  /** Removes all intervals. */
  clear(): void {
    this.#items.length = 0;
    this.#reach.length = 0;
  }

  /**
   * The first interval that overlaps a range.
   *
   * @param start first element
   * @param last last element, inclusive
   * @returns the interval, or null
   */
  first(start: K, last: K): T | null {
    return this.#nextFrom(this.#firstReaching(start), start, last);
  }

  /**
   * The next interval that overlaps a range.
   *
   * @param item an interval of the tree
   * @param start first element
   * @param last last element, inclusive
   * @returns the interval after it, or null
   */
  next(item: T, start: K, last: K): T | null {
    return this.#nextFrom(this.#items.indexOf(item, this.#firstFrom(item.start)) + 1, start, last);
  }

  #nextFrom(from: number, start: K, last: K): T | null {
    for (let i = from; i < this.#items.length; i++) {
      const item = this.#items[i];
      if (item.start > last) return null;
      if (item.last >= start) return item;
    }
    return null;
  }

  /** Index of the first item whose start is not before a place. */
  #firstFrom(start: K): number {
    return this.#search((i) => this.#items[i].start >= start);
  }

  /** Index of the first item whose start is after a place. */
  #firstAfter(start: K): number {
    return this.#search((i) => this.#items[i].start > start);
  }

  /** Index of the first item before which nothing reaches a place. */
  #firstReaching(start: K): number {
    return this.#search((i) => this.#reach[i] >= start);
  }

  #search(isAt: (index: number) => boolean): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isAt(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Makes the reach right from an index on, as far as it changes. */
  #repair(from: number): void {
    for (let i = from; i < this.#items.length; i++) {
      const { last } = this.#items[i];
      const reach = i > 0 && this.#reach[i - 1] > last ? this.#reach[i - 1] : last;
      if (i > from && this.#reach[i] === reach) return;
      this.#reach[i] = reach;
    }
  }
}

/** A stretch of a range that a tree covers, or does not. */
export interface Span<K> {
  /** Whether intervals cover it. */
  readonly used: boolean;
  /** Its last element, inclusive. */
  readonly last: K;
}

/**
 * The stretch of a range from its first element on: covered by intervals without a gap, or a hole.
 *
 * @param tree the tree
 * @param first first element
 * @param last last element of the range, inclusive
 * @returns what lies at its beginning, and how far it goes
 * @source include/linux/interval_tree.h interval_tree_span_iter_next, 7.2
 */
export function spanAt<K extends number | bigint, T extends Interval<K>>(
  tree: IntervalTree<K, T>,
  first: K,
  last: K,
): Span<K> {
  let item = tree.first(first, last);
  if (item === null) return { used: false, last };
  if (item.start > first) return { used: false, last: minusOne(item.start) };
  let reach = item.last;
  for (; item !== null && minusOne(item.start) <= reach; item = tree.next(item, first, last)) {
    if (item.last > reach) reach = item.last;
    if (reach >= last) return { used: true, last };
  }
  return { used: true, last: reach };
}

function minusOne<K extends number | bigint>(key: K): K {
  return (typeof key === 'bigint' ? key - 1n : key - 1) as K;
}

/** A stretch of a range over two trees. */
export interface DoubleSpan {
  /** 1: the first tree covers it; 2: only the second does; 0: neither. */
  readonly used: 0 | 1 | 2;
  /** First element. */
  readonly first: number;
  /** Last element, inclusive. */
  readonly last: number;
}

/**
 * The stretch of a range from its first element on, over two trees.
 *
 * @param one the tree that is preferred
 * @param two the other tree
 * @param first first element
 * @param last last element of the range, inclusive
 * @returns which of them covers it, and how far
 * @source drivers/iommu/iommufd/double_span.h interval_tree_double_span_iter_next, 7.2; reference
 * iommufd.md §12
 */
export function doubleSpanAt<A extends Interval<number>, B extends Interval<number>>(
  one: IntervalTree<number, A>,
  two: IntervalTree<number, B>,
  first: number,
  last: number,
): DoubleSpan {
  const a = spanAt(one, first, last);
  if (a.used) return { used: 1, first, last: a.last };
  const b = spanAt(two, first, a.last);
  return { used: b.used ? 2 : 0, first, last: b.last };
}
