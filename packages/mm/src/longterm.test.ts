import { describe, expect, test } from 'vitest';
import { boot, MODELS, SECTION } from '../test/machine.ts';
import { checkMigrateMovablePages } from './longterm.ts';
import { PG } from './page-state.ts';

/** Sections 1 and 2 are ordinary memory, 3 is movable, 4 ordinary, and a 1 GiB folio from 8 on. */
const RANGES = [
  { pfn: SECTION, npage: 2 * SECTION },
  { pfn: 3 * SECTION, npage: SECTION, zone: 'movable' as const },
  { pfn: 4 * SECTION, npage: SECTION },
  { pfn: 8 * SECTION, npage: 8 * SECTION },
];

describe.each(MODELS)('the pass over a page array, %s', (model) => {
  const memory = boot({ ranges: RANGES, model, seed: 5 });
  const { memmap } = memory;
  for (const pfn of [0, 1, 2, 3, 4, 5, 6, 7]) memmap.allocFolio(SECTION + pfn, 0, PG.anon);
  for (const pfn of [0, 1]) memmap.allocFolio(3 * SECTION + pfn, 0, PG.anon);
  memmap.allocFolio(3 * SECTION + 512, 9, PG.anon);
  memmap.allocFolio(4 * SECTION, 9, PG.anon);
  memmap.allocFolio(8 * SECTION, 18, PG.hugetlb);

  test.each([
    // frames relative to their section, index of the first page that may not stay
    ['ordinary pages', [[1, 0, 8]], -1],
    [
      'a movable page first',
      [
        [3, 0, 1],
        [1, 0, 8],
      ],
      0,
    ],
    [
      'a movable page last',
      [
        [1, 0, 8],
        [3, 1, 1],
      ],
      8,
    ],
    [
      'a movable folio',
      [
        [1, 2, 1],
        [3, 512, 100],
      ],
      1,
    ],
    [
      'the part of a folio, then a movable page',
      [
        [4, 500, 12],
        [3, 0, 2],
      ],
      12,
    ],
    [
      'a folio over several sections',
      [
        [9, SECTION - 5, 5],
        [10, 0, 5],
      ],
      -1,
    ],
    [
      'such a folio and then movable pages',
      [
        [9, SECTION - 5, 5],
        [10, 0, 5],
        [3, 600, 3],
      ],
      10,
    ],
    [
      'the same page again and again',
      [
        [1, 0, 1],
        [1, 0, 1],
        [3, 0, 1],
        [3, 0, 1],
      ],
      2,
    ],
    [
      'pages in descending order',
      [
        [1, 7, 1],
        [1, 6, 1],
        [1, 5, 1],
        [3, 1, 1],
      ],
      3,
    ],
  ] as const)('%s', (_, parts, unpinnable) => {
    const pages = parts.flatMap(([section, from, npage]) =>
      Array.from({ length: npage }, (__, i) => memmap.pfnToPage(section * SECTION + from + i)),
    );
    const before = memory.counters.snapshot();
    expect(checkMigrateMovablePages(memory, Float64Array.from(pages), pages.length)).toBe(
      unpinnable,
    );
    expect(memory.counters.since(before).migrateChecks).toBe(pages.length);
  });

  test('looks at no entry beyond the count', () => {
    const pages = Float64Array.of(memmap.pfnToPage(SECTION), memmap.pfnToPage(3 * SECTION));
    expect(checkMigrateMovablePages(memory, pages, 1)).toBe(-1);
  });
});
