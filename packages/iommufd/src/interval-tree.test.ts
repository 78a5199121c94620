import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { doubleSpanAt, IntervalTree, spanAt, type Interval } from './interval-tree.ts';

type Item = Interval<number>;

function tree(...items: readonly (readonly [number, number])[]): IntervalTree<number, Item> {
  const made = new IntervalTree<number, Item>();
  for (const [start, last] of items) made.insert({ start, last });
  return made;
}

describe('the double span', () => {
  // Reference iommufd.md §12.
  test('prefers the first tree, as the example of the reference', () => {
    const [access, domains] = [tree([3, 5]), tree([0, 9])];
    const spans: [number, number, number][] = [];
    for (let at = 0; at <= 12;) {
      const { used, first, last } = doubleSpanAt(access, domains, at, 12);
      spans.push([used, first, last]);
      at = last + 1;
    }
    expect(spans).toEqual([
      [2, 0, 2],
      [1, 3, 5],
      [2, 6, 9],
      [0, 10, 12],
    ]);
  });

  test('takes neighbours and overlaps of one tree as one', () => {
    const made = tree([0, 9], [2, 3], [10, 12], [14, 20]);
    expect(spanAt(made, 1, 30)).toEqual({ used: true, last: 12 });
    expect(spanAt(made, 13, 30)).toEqual({ used: false, last: 13 });
    expect(spanAt(made, 21, 30)).toEqual({ used: false, last: 30 });
  });
});

test('look-ups find what a walk over all intervals finds', () => {
  const interval = fc.tuple(fc.nat(40), fc.nat(12));
  const property = fc.property(fc.array(interval, { maxLength: 30 }), interval, (made, query) => {
    const items = made.map(([start, length]) => ({ start, last: start + length }));
    const tested = new IntervalTree<number, Item>();
    for (const item of items) tested.insert(item);
    for (const item of items.filter((_, i) => i % 3 === 0)) tested.remove(item);
    const left = items.filter((_, i) => i % 3 !== 0);
    const [start, last] = [query[0], query[0] + query[1]];
    const expected = left.filter((item) => item.start <= last && item.last >= start);
    const found: Item[] = [];
    for (let at = tested.first(start, last); at; at = tested.next(at, start, last)) found.push(at);
    expect(new Set(found)).toEqual(new Set(expected));
    expect(found.map((item) => item.start)).toEqual(
      found.map((item) => item.start).sort((a, b) => a - b),
    );
  });
  fc.assert(property, { seed: 1, numRuns: 300 });
});
