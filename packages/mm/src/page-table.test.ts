import { ModelBug, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { PageTable, PTE } from './page-table.ts';

const RW = PTE.present | PTE.write;

describe('an empty page table', () => {
  test.each([0, 1, 2 ** 32, X86_64.virtualPages - 1])('maps nothing at page %d', (vpn) => {
    const table = new PageTable();
    expect(table.walk(vpn)).toBe(false);
    expect(table.pfnAt(vpn)).toBe(-1);
  });
});

// 2^32 pages are 16 TiB, 2^36 pages the end of 48 address bits.
describe.each([0, 2 ** 18, 2 ** 32, 2 ** 35 + 2 ** 27, X86_64.virtualPages - 2 ** 18])(
  'leaves at page %d',
  (vpn) => {
    test.each([
      [0, 1],
      [1, 512],
      [2, 2 ** 18],
    ])('level %i: a leaf of %i pages', (level, pages) => {
      const table = new PageTable();
      const pfn = 2 ** 36;
      table.setLeaves(vpn, pfn, 1, level, RW);
      for (const page of [0, Math.floor(pages / 2), pages - 1]) {
        expect(table.walk(vpn + page)).toBe(true);
        expect(table.level).toBe(level);
        expect(table.pfnAt(vpn + page)).toBe(pfn + page);
        const arena = level === 0 ? table.ptes : table.dirs;
        expect([arena.frame[table.index], arena.bits[table.index]]).toEqual([pfn, RW]);
      }
      expect(table.pfnAt(vpn + pages)).toBe(-1);
      if (vpn > 0) expect(table.pfnAt(vpn - 1)).toBe(-1);
    });
  },
);

test('frames on both sides of 2^31, in either order', () => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
  ]) {
    const table = new PageTable();
    const frames = [7, 2 ** 31 - 1, 2 ** 36];
    for (const i of order) {
      table.setLeaves(i, frames[i], 1, 0, RW);
      table.setLeaves((i + 1) * 512, i * 2 ** 32 + 512, 1, 1, RW);
    }
    expect([0, 1, 2].map((i) => table.pfnAt(i))).toEqual(frames);
    expect([0, 1, 2].map((i) => table.pfnAt((i + 1) * 512))).toEqual([
      512,
      2 ** 32 + 512,
      2 ** 33 + 512,
    ]);
  }
});

test('leaves go on from one table to the next', () => {
  const table = new PageTable();
  table.setLeaves(500, 10_000, 1200, 0, RW);
  for (const page of [0, 11, 12, 523, 524, 1199])
    expect(table.pfnAt(500 + page)).toBe(10_000 + page);
  table.setLeaves(500 * 512, 2 ** 20, 30, 1, RW);
  for (const leaf of [0, 11, 12, 29])
    expect(table.pfnAt((500 + leaf) * 512 + 7)).toBe(2 ** 20 + leaf * 512 + 7);
});

test('a walk that ends at an absent last-level entry says so by its bits', () => {
  const table = new PageTable();
  table.setLeaves(5, 100, 1, 0, RW);
  expect(table.walk(6)).toBe(true);
  expect([table.level, table.ptes.bits[table.index]]).toEqual([0, 0]);
  expect(table.pfnAt(6)).toBe(-1);
});

describe('a page that is mapped already', () => {
  test.each([
    ['a small leaf again', 0, 0, 5],
    ['a small leaf under a large one', 1, 0, 5],
    ['a large leaf over a large one', 1, 1, 0],
  ])('%s is a bug of the model', (_, first, second, page) => {
    const table = new PageTable();
    table.setLeaves(first === 0 ? page : 0, 512, 1, first, RW);
    expect(() => table.setLeaves(page, 1024, 1, second, RW)).toThrow(ModelBug);
  });
});

describe('allows', () => {
  const table = new PageTable();
  table.setLeaves(5, 100, 1, 0, PTE.present);
  table.setLeaves(6, 101, 1, 0, RW);
  table.setLeaves(512, 512, 1, 1, PTE.present);
  table.setLeaves(1024, 1024, 1, 1, RW);

  test.each([
    [4, false, false],
    [5, true, false],
    [6, true, true],
    [700, true, false],
    [1535, true, true],
    [2 ** 30, false, false],
  ])('page %i: a read %s, a write %s', (vpn, read, write) => {
    expect([table.allows(vpn, false), table.allows(vpn, true)]).toEqual([read, write]);
  });
});

describe('setEntry', () => {
  test.each([
    [0, 7],
    [1, 1024],
    [2, 2 ** 18],
  ])('writes, overwrites and clears a leaf of level %i', (level, vpn) => {
    const table = new PageTable();
    const [one, two] = [2 ** 36, 2 ** 36 + 2 ** 18];
    table.setEntry(vpn, one, level, RW);
    expect(table.pfnAt(vpn)).toBe(one);
    table.setEntry(vpn, two, level, PTE.present);
    expect([table.pfnAt(vpn), table.allows(vpn, true)]).toEqual([two, false]);
    table.setEntry(vpn, 0, level, 0);
    expect(table.pfnAt(vpn)).toBe(-1);
    if (level > 0) expect(table.none(vpn, level)).toBe(true);
  });

  test('of a large leaf over a table is a bug of the model', () => {
    const table = new PageTable();
    table.setEntry(5, 5, 0, RW);
    expect(() => {
      table.setEntry(0, 512, 1, RW);
    }).toThrow(ModelBug);
  });

  test('of a small leaf under a large one is, too', () => {
    const table = new PageTable();
    table.setEntry(0, 512, 1, RW);
    expect(() => {
      table.setEntry(5, 5, 0, RW);
    }).toThrow(ModelBug);
  });
});

test('none: room for a large leaf is where neither a leaf is nor a table', () => {
  const table = new PageTable();
  expect([table.none(0, 1), table.none(0, 2)]).toEqual([true, true]);
  table.setEntry(512, 512, 1, RW);
  expect([table.none(0, 1), table.none(600, 1), table.none(0, 2)]).toEqual([true, false, false]);
  table.setEntry(3, 3, 0, RW);
  expect(table.none(0, 1)).toBe(false);
  table.setEntry(3, 0, 0, 0);
  // The table hangs there still.
  expect(table.none(0, 1)).toBe(false);
  table.setEntry(2 ** 18, 2 ** 18, 2, RW);
  expect([table.none(2 ** 18, 1), table.none(2 ** 18, 2)]).toEqual([false, false]);
});

describe('forEachLeaf', () => {
  function leaves(table: PageTable, start: number, end: number): number[][] {
    const seen: number[][] = [];
    table.forEachLeaf(start, end, (...leaf) => seen.push(leaf));
    return seen;
  }
  const table = new PageTable();
  table.setEntry(5, 50, 0, RW);
  table.setEntry(511, 51, 0, PTE.present);
  table.setEntry(1024, 1024, 1, RW);
  table.setEntry(2 ** 18, 2 ** 20, 2, RW);
  table.setEntry(X86_64.virtualPages - 1, 9, 0, RW);

  test('visits present leaves in address order, over holes of any size', () => {
    expect(leaves(table, 0, X86_64.virtualPages)).toEqual([
      [5, 50, 0, RW],
      [511, 51, 0, PTE.present],
      [1024, 1024, 1, RW],
      [2 ** 18, 2 ** 20, 2, RW],
      [X86_64.virtualPages - 1, 9, 0, RW],
    ]);
  });

  test.each([
    ['before a leaf', 0, 5, []],
    ['one page', 5, 6, [5]],
    ['a part of a large leaf', 1500, 1501, [1024]],
    ['from inside one large leaf into another', 1535, 2 ** 18 + 1, [1024, 2 ** 18]],
    ['nothing', 700, 1024, []],
    ['an empty range', 5, 5, []],
  ])('visits what overlaps the range: %s', (_, start, end, firsts) => {
    expect(leaves(table, start, end).map(([vpn]) => vpn)).toEqual(firsts);
  });

  test('lets the visitor clear leaves', () => {
    const own = new PageTable();
    for (const vpn of [0, 1, 2]) own.setEntry(vpn, vpn + 1, 0, RW);
    own.setEntry(512, 512, 1, RW);
    own.forEachLeaf(0, 1024, (vpn, _pfn, level) => own.setEntry(vpn, 0, level, 0));
    expect(leaves(own, 0, 1024)).toEqual([]);
  });
});

describe('splitLeaf', () => {
  test.each([
    [1, 512, 1],
    [2, 2 ** 18, 512],
  ])('of level %i makes 512 smaller leaves of the same frames and bits', (level, pages, step) => {
    const table = new PageTable();
    table.setEntry(pages, 2 ** 20, level, RW);
    table.splitLeaf(pages + 77);
    const seen: number[][] = [];
    table.forEachLeaf(0, 2 * pages, (...leaf) => seen.push(leaf));
    expect(seen).toEqual(
      Array.from({ length: 512 }, (_, i) => [pages + i * step, 2 ** 20 + i * step, level - 1, RW]),
    );
  });

  test.each([
    ['a small leaf', 5],
    ['nothing', 512],
  ])('of %s is a bug of the model', (_, vpn) => {
    const table = new PageTable();
    table.setEntry(5, 5, 0, RW);
    expect(() => {
      table.splitLeaf(vpn);
    }).toThrow(ModelBug);
  });
});

describe('freePteTable', () => {
  test('takes the table away, and a large leaf fits', () => {
    const table = new PageTable();
    table.setEntry(5, 5, 0, RW);
    table.setEntry(512, 6, 0, RW);
    table.setEntry(5, 0, 0, 0);
    table.freePteTable(300);
    expect([table.ptes.live, table.none(0, 1), table.none(512, 1)]).toEqual([1, true, false]);
    table.setEntry(0, 512, 1, RW);
    expect(table.pfnAt(5)).toBe(517);
  });

  test.each([
    ['a large leaf', 512],
    ['nothing', 1024],
  ])('does nothing where there is %s', (_, vpn) => {
    const table = new PageTable();
    table.setEntry(512, 512, 1, RW);
    table.freePteTable(vpn);
    expect([table.pfnAt(512), table.ptes.live]).toEqual([512, 0]);
  });
});

describe('nextPteTable', () => {
  test('skips what has no last-level table, up to the end of the range', () => {
    const table = new PageTable();
    const far = 2 ** 34 + 1024;
    table.setEntry(512, 512, 1, RW);
    table.setEntry(1030, 6, 0, RW);
    table.setEntry(far, 7, 0, RW);
    expect(table.nextPteTable(0, far + 1)).toBe(1024);
    expect(table.nextPteTable(1029, far + 1)).toBe(1029);
    expect(table.nextPteTable(1536, far + 1)).toBe(far);
    expect(table.nextPteTable(1536, far)).toBe(far);
    expect(table.nextPteTable(far + 512, 2 ** 36)).toBe(2 ** 36);
  });
});
