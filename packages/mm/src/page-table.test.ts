import { ModelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { MAX_VPN, PageTable, PTE } from './page-table.ts';

const RW = PTE.present | PTE.write;

describe('an empty page table', () => {
  test.each([0, 1, 2 ** 32, MAX_VPN - 1])('maps nothing at page %d', (vpn) => {
    const table = new PageTable();
    expect(table.walk(vpn)).toBe(false);
    expect(table.pfnAt(vpn)).toBe(-1);
  });
});

// 2^32 pages are 16 TiB, 2^36 pages the end of 48 address bits.
describe.each([0, 2 ** 18, 2 ** 32, 2 ** 35 + 2 ** 27, MAX_VPN - 2 ** 18])(
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
