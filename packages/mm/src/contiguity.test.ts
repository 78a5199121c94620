import { describe, expect, test } from 'vitest';
import { MODELS, SECTION } from '../test/machine.ts';
import { adjacentStrangers, neighbours } from '../test/sections.ts';
import {
  nthPage,
  numPagesContiguous,
  numPfnsContiguous,
  pageExtIterNextFastPossible,
  pageRangeContiguous,
} from './contiguity.ts';
import { MemMap } from './memmap.ts';

/** The page array that GUP fills for these frames. */
function pagesOf(memmap: MemMap, pfns: readonly number[]): Float64Array {
  return Float64Array.from(pfns, (pfn) => memmap.pfnToPage(pfn));
}

/** n frames from one on. */
function frames(pfn: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => pfn + i);
}

describe.each(MODELS)('runs of a page array inside a section, %s', (model) => {
  const memmap = new MemMap([{ pfn: 0, npage: 4 * SECTION }], model);
  const pages = pagesOf(memmap, [...frames(1000, 5), 1007, ...frames(1008, 3), 1010, 999, 998]);

  test.each([
    // entry, entries to look at, length of the run
    [0, 12, 5],
    [0, 5, 5],
    [0, 3, 3],
    [0, 1, 1],
    [2, 10, 3],
    [4, 8, 1],
    [5, 7, 4],
    [8, 4, 1], // 1010 follows 1010
    [10, 2, 1], // backwards
    [11, 1, 1],
  ])('from entry %i of %i, a run of %i', (offset, nr, run) => {
    expect(numPagesContiguous(memmap, pages, offset, nr)).toBe(run);
    const pfn = memmap.pageToPfn(pages[offset]);
    expect(numPfnsContiguous(memmap, pages, offset, nr, pfn)).toBe(run);
  });

  test('no entry continues another frame than its own', () => {
    expect(numPfnsContiguous(memmap, pages, 0, 12, 999)).toBe(0);
    expect(numPfnsContiguous(memmap, pages, 0, 0, 1000)).toBe(0);
  });
});

describe('a run over a section border', () => {
  const pfns = frames(2 * SECTION - 4, 8);

  test('is one run under vmemmap', () => {
    const memmap = new MemMap([{ pfn: 0, npage: 4 * SECTION }]);
    expect(numPagesContiguous(memmap, pagesOf(memmap, pfns), 0, 8)).toBe(8);
  });

  test('ends at the border under classic sparsemem, whether or not the arrays are adjacent', () => {
    const { adjacent, apart } = neighbours();
    for (const { memmap, section } of [adjacent, apart]) {
      const pages = pagesOf(memmap, frames((section + 1) * SECTION - 4, 8));
      expect(numPagesContiguous(memmap, pages, 0, 8)).toBe(4);
      expect(numPagesContiguous(memmap, pages, 4, 4)).toBe(4);
      expect(numPfnsContiguous(memmap, pages, 0, 8, (section + 1) * SECTION - 4)).toBe(8);
    }
  });
});

test('strangers whose arrays happen to be adjacent are no run under classic sparsemem', () => {
  const { memmap, section, next } = adjacentStrangers();
  const pages = pagesOf(memmap, [
    ...frames((section + 1) * SECTION - 4, 4),
    ...frames(next * SECTION, 4),
  ]);
  expect(pages[4]).toBe(pages[3] + 1);
  expect(numPagesContiguous(memmap, pages, 0, 8)).toBe(4);
  expect(numPfnsContiguous(memmap, pages, 0, 8, (section + 1) * SECTION - 4)).toBe(4);
  expect(pageRangeContiguous(memmap, pages[0], 8)).toBe(false);
});

describe('nth_page', () => {
  test('is pointer arithmetic under vmemmap, also over a hole', () => {
    const memmap = new MemMap([
      { pfn: 0, npage: SECTION },
      { pfn: 2 * SECTION, npage: SECTION },
    ]);
    const page = memmap.pfnToPage(SECTION - 1);
    expect(nthPage(memmap, page, 1 + SECTION)).toBe(memmap.pfnToPage(2 * SECTION));
  });

  test('goes through the pfn under classic sparsemem', () => {
    const { memmap, section } = neighbours().apart;
    const last = memmap.pfnToPage((section + 1) * SECTION - 1);
    expect(nthPage(memmap, last, 0)).toBe(last);
    expect(nthPage(memmap, last, 1)).toBe(memmap.pfnToPage((section + 1) * SECTION));
    expect(nthPage(memmap, last, 1)).not.toBe(last + 1);
  });
});

describe('page_range_contiguous', () => {
  test('holds everywhere under vmemmap', () => {
    const memmap = new MemMap([{ pfn: 0, npage: 4 * SECTION }]);
    expect(pageRangeContiguous(memmap, memmap.pfnToPage(5), 4 * SECTION - 5)).toBe(true);
  });

  test('holds inside a section, up to its last page', () => {
    const memmap = new MemMap([{ pfn: 0, npage: 4 * SECTION }], 'sparsemem');
    expect(pageRangeContiguous(memmap, memmap.pfnToPage(SECTION), SECTION)).toBe(true);
  });

  test('fails over a border whose arrays are apart, and holds if they happen to be adjacent', () => {
    const { adjacent, apart } = neighbours();
    const over = ({ memmap, section }: typeof apart): boolean =>
      pageRangeContiguous(memmap, memmap.pfnToPage((section + 1) * SECTION - 1), 2);
    expect(over(apart)).toBe(false);
    expect(over(adjacent)).toBe(true);
  });

  test('fails where the next section has no memory map', () => {
    const memmap = new MemMap([{ pfn: 0, npage: SECTION }], 'sparsemem');
    expect(pageRangeContiguous(memmap, memmap.pfnToPage(SECTION - 1), 1)).toBe(true);
    expect(pageRangeContiguous(memmap, memmap.pfnToPage(SECTION - 1), 2)).toBe(false);
  });
});

test('page extensions need the slow look-up at the first page of a section, and only without vmemmap', () => {
  const fast = (model: 'sparsemem' | 'sparsemem-vmemmap'): boolean[] => {
    const memmap = new MemMap([{ pfn: 0, npage: 2 * SECTION }], model);
    return [SECTION - 1, SECTION, SECTION + 1].map((pfn) =>
      pageExtIterNextFastPossible(memmap, pfn),
    );
  };
  expect(fast('sparsemem-vmemmap')).toEqual([true, true, true]);
  expect(fast('sparsemem')).toEqual([true, false, true]);
});
