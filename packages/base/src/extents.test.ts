import { describe, expect, test } from 'vitest';
import { Extents, MAX_EXTENT, MIXED } from './extents.ts';
import { pageNumbers } from './page-numbers.ts';

function room(capacity: number, end = 2 ** 20): Extents {
  return new Extents(pageNumbers(capacity, end), new Int32Array(capacity));
}

function contents({ pfn, npage, count }: Extents): number[][] {
  return Array.from({ length: count }, (_, i) => [pfn[i], npage[i]]);
}

describe('add', () => {
  test('joins what goes on with the last extent, and of the same kind only', () => {
    const extents = room(8);
    expect(extents.add(100, 5, true)).toBe(true);
    expect(extents.add(105, 1, true)).toBe(true);
    expect(extents.add(107, 2, true)).toBe(true);
    expect(extents.add(109, 3, false)).toBe(true);
    expect(extents.add(112, 4, false)).toBe(true);
    expect(extents.add(116, 1, true)).toBe(true);
    expect(contents(extents)).toEqual([
      [100, 6],
      [107, 2],
      [109, -7],
      [116, 1],
    ]);
  });

  test('refuses what would be one extent too many, not what joins the last', () => {
    const extents = room(1);
    extents.add(7, 1, true);
    expect([extents.add(8, 1, true), extents.full]).toEqual([true, false]);
    expect([extents.add(10, 1, true), extents.full]).toEqual([false, true]);
    expect(contents(extents)).toEqual([[7, 2]]);
    extents.clear();
    expect([extents.add(10, 1, true), extents.full, contents(extents)]).toEqual([
      true,
      false,
      [[10, 1]],
    ]);
  });

  test('begins another extent at the largest length', () => {
    const extents = room(4);
    extents.add(0, MAX_EXTENT - 1, true);
    extents.add(MAX_EXTENT - 1, 1, true);
    extents.add(MAX_EXTENT, 1, true);
    expect(contents(extents)).toEqual([
      [0, MAX_EXTENT],
      [MAX_EXTENT, 1],
    ]);
  });

  test('takes frames of devices above all memory', () => {
    const extents = room(4);
    extents.add(5, 1, true);
    expect(extents.pfn).toBeInstanceOf(Int32Array);
    extents.add(2 ** 39, 512, false);
    expect(contents(extents)).toEqual([
      [5, 1],
      [2 ** 39, -512],
    ]);
  });
});

test('a compact copy has the extents and no room: eight bytes each, twelve above 8 TiB', () => {
  for (const [end, bytes] of [
    [2 ** 31, 8],
    [2 ** 31 + 1, 12],
  ] as const) {
    const extents = room(100, end);
    for (let i = 0; i < 10; i++) extents.add(2 * i, 1, true);
    const copy = extents.compact();
    expect([copy.bytes, copy.capacity, contents(copy)]).toEqual([
      10 * bytes,
      10,
      contents(extents),
    ]);
    extents.clear();
    expect(copy.count).toBe(10);
  }
});

describe('unit', () => {
  test.each([
    ['none', [], 0],
    ['one that is aligned', [[512, 512]], 512],
    ['one that is not', [[511, 512]], MIXED],
    [
      'alike',
      [
        [512, 512],
        [2048, 512],
        [0, 512],
      ],
      512,
    ],
    [
      'of two lengths',
      [
        [512, 512],
        [2048, 1],
      ],
      MIXED,
    ],
    [
      'alike again, which does not help',
      [
        [512, 512],
        [2048, 1],
        [4096, 512],
      ],
      MIXED,
    ],
    [
      'joined',
      [
        [512, 512],
        [1024, 512],
      ],
      MIXED,
    ],
  ] as const)('%s', (_, added, unit) => {
    const extents = room(8);
    for (const [pfn, npage] of added) extents.add(pfn, npage, true);
    expect(extents.unit).toBe(unit);
    extents.clear();
    expect(extents.unit).toBe(0);
  });
});
