import { describe, expect, test } from 'vitest';
import { boot, MODELS, SECTION } from '../test/machine.ts';
import type { MemMap } from './memmap.ts';
import { SgAppendTable, sgAllocAppendTableFromPages } from './sg-table.ts';

/** Page pointers of frames. */
function pagesOf(memmap: MemMap, pfns: readonly number[]): Float64Array {
  return Float64Array.from(pfns, (pfn) => memmap.pfnToPage(pfn));
}

function frames(pfn: number, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => pfn + i);
}

/** The entries as [first frame, pages]. */
function entries({ pfn, npage, nents }: SgAppendTable): number[][] {
  return Array.from({ length: nents }, (_, i) => [pfn[i], npage[i]]);
}

/** Appends arrays of frames; returns the entries, the compares of each call, and the entries made. */
function append(arrays: readonly (readonly number[])[], maxSegment?: number): unknown[] {
  const memory = boot();
  const table = new SgAppendTable();
  const compares = arrays.map((pfns) => {
    const before = memory.counters.snapshot();
    const pages = pagesOf(memory.memmap, pfns);
    sgAllocAppendTableFromPages(memory, table, pages, pfns.length, maxSegment);
    return memory.counters.since(before).mergeCompares;
  });
  expect(memory.counters.snapshot().sgEntries).toBe(table.nents);
  expect(table.pages).toBe(arrays.flat().length);
  return [entries(table), compares];
}

const P = SECTION + 100;

describe('the pages of an array', () => {
  test.each<[string, number[], number[][], number]>([
    ['one', [P], [[P, 1]], 0],
    ['consecutive', frames(P, 6), [[P, 6]], 2 * 5],
    [
      'apart',
      [P, P + 2, P + 1],
      [
        [P, 1],
        [P + 2, 1],
        [P + 1, 1],
      ],
      2 * 2,
    ],
    [
      'two runs',
      [...frames(P, 3), ...frames(P + 9, 2)],
      [
        [P, 3],
        [P + 9, 2],
      ],
      2 * 4,
    ],
    [
      'the same twice',
      [P, P],
      [
        [P, 1],
        [P, 1],
      ],
      2,
    ],
  ])('%s: each is compared with the one before, in two passes', (_, pfns, expected, compares) => {
    expect(append([pfns])).toEqual([expected, [compares]]);
  });

  test('an entry that is full ends without a compare', () => {
    expect(append([frames(P, 7)], 3 * 4096 + 4095)).toEqual([
      [
        [P, 3],
        [P + 3, 3],
        [P + 6, 1],
      ],
      [2 * (2 + 2)],
    ]);
  });
});

describe('the next array', () => {
  test('joins the last entry: a compare with its end, and one per page', () => {
    expect(append([frames(P, 4), frames(P + 4, 5)])).toEqual([[[P, 9]], [6, 1 + 5]]);
  });

  test('joins it as far as it goes on; the compare that fails is one more', () => {
    const second = [...frames(P + 4, 2), ...frames(P + 20, 3)];
    expect(append([frames(P, 4), second])).toEqual([
      [
        [P, 6],
        [P + 20, 3],
      ],
      [6, 1 + 3 + 2 * 2],
    ]);
  });

  test('does not join it: one compare', () => {
    expect(append([frames(P, 4), frames(P + 5, 2)])).toEqual([
      [
        [P, 4],
        [P + 5, 2],
      ],
      [6, 1 + 2],
    ]);
  });

  test('joins it until it is full, which the next compare finds', () => {
    const max = 6 * 4096;
    expect(append([frames(P, 4), frames(P + 4, 5), frames(P + 9, 3)], max)).toEqual([
      [
        [P, 6],
        [P + 6, 6],
      ],
      [6, 1 + 3 + 2 * 2, 1 + 3],
    ]);
    expect(append([frames(P, 6), frames(P + 6, 2)], max)).toEqual([
      [
        [P, 6],
        [P + 6, 2],
      ],
      [2 * 5, 1 + 1 + 2],
    ]);
  });

  test('joins addresses without pages to such before them', () => {
    const table = new SgAppendTable();
    table.appendAddresses(P, 2);
    table.appendAddresses(P + 2, 1);
    table.appendAddresses(P + 4, 1);
    expect(entries(table)).toEqual([
      [P, 3],
      [P + 4, 1],
    ]);
    expect(table.pages).toBe(4);
  });

  test('never joins addresses without pages to pages', () => {
    const memory = boot();
    const table = new SgAppendTable();
    table.appendAddresses(P, 2);
    sgAllocAppendTableFromPages(memory, table, pagesOf(memory.memmap, [P + 2]), 1);
    expect(entries(table)).toEqual([
      [P, 2],
      [P + 2, 1],
    ]);
    expect([...table.hasPages.subarray(0, 2)]).toEqual([0, 1]);
    expect(memory.counters.snapshot().mergeCompares).toBe(0);
  });
});

test.each(MODELS)('frames decide, over section borders too: %s', (model) => {
  const memory = boot({ model, seed: 3 });
  const table = new SgAppendTable();
  const pages = pagesOf(memory.memmap, frames(2 * SECTION - 3, 6));
  sgAllocAppendTableFromPages(memory, table, pages, 6);
  expect(entries(table)).toEqual([[2 * SECTION - 3, 6]]);
});

test('many entries, found by page', () => {
  const memory = boot();
  const table = new SgAppendTable();
  const pfns = Array.from({ length: 300 }, (_, i) => P + i + 2 * Math.floor(i / 3));
  sgAllocAppendTableFromPages(memory, table, pagesOf(memory.memmap, pfns), pfns.length);
  expect(table.nents).toBe(100);
  for (const [page, pfn] of pfns.entries()) {
    const entry = table.entryOf(page);
    expect(table.pfn[entry] + page - table.first[entry]).toBe(pfn);
  }
});
