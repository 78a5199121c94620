import { describe, expect, test } from 'vitest';
import { IotlbGather } from './iotlb-gather.ts';

/** A gather with pieces of one size added one after the other. */
function gatherOf(...pieces: readonly (readonly [number, number])[]): IotlbGather {
  const gather = new IotlbGather();
  for (const [start, npage] of pieces) gather.add(start, npage);
  return gather;
}

test('an empty gather takes any piece', () => {
  expect(gatherOf().mustSyncBefore(5, 7)).toBe(false);
  expect(gatherOf().mustSyncBefore(0, 2 ** 36)).toBe(false);
});

describe('after pieces of 8 pages at 16 and 24', () => {
  test.each([
    ['the piece that follows', 32, 8, false],
    ['the piece before', 8, 8, false],
    ['a piece inside', 20, 8, false],
    ['the same piece again', 24, 8, false],
    ['a piece one page further on', 33, 8, true],
    ['a piece that ends one page before', 7, 8, true],
    ['the piece that follows, of another size', 32, 7, true],
    ['the piece that follows, larger', 32, 512, true],
  ])('%s', (_, start, npage, sync) => {
    expect(gatherOf([16, 8], [24, 8]).mustSyncBefore(start, npage)).toBe(sync);
  });
});

test('the range reaches from the lowest to the highest piece', () => {
  expect(gatherOf([32, 8], [40, 8], [24, 8])).toMatchObject({ start: 24, end: 47, pieceSize: 8 });
});

describe('a range joins whatever is there', () => {
  test.each([
    ['the range that follows', 32, 1, 16, 32],
    ['a range behind a gap', 100, 5, 16, 104],
    ['a range before it', 3, 2, 3, 31],
    ['a range inside', 20, 2, 16, 31],
    ['nothing, at its end', 32, 0, 16, 31],
  ])('%s', (_, at, npage, start, end) => {
    const gather = gatherOf([16, 8], [24, 8]);
    gather.addRange(at, npage);
    expect(gather).toMatchObject({ start, end, pieceSize: 8 });
  });

  test('and is not a piece: what comes after it need not fit', () => {
    const gather = gatherOf();
    gather.addRange(16, 8);
    expect(gather.mustSyncBefore(1000, 3)).toBe(false);
  });
});

test('the first page alone is a piece like any other', () => {
  const gather = gatherOf([0, 1]);
  expect(gather).toMatchObject({ start: 0, end: 0 });
  expect([gather.mustSyncBefore(1, 1), gather.mustSyncBefore(2, 1)]).toEqual([false, true]);
});

test('reset forgets the range and leaves the freelist to the format', () => {
  const gather = gatherOf([16, 8]);
  gather.freelist.push(3);
  gather.reset();
  expect(gather).toMatchObject({ start: Infinity, end: -1, pieceSize: 0, freelist: [3] });
  expect(gather.mustSyncBefore(2 ** 40, 1)).toBe(false);
});
