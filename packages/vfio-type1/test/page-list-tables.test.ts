/**
 * The operation counts of 16 GiB of the page list: reference strategies.md, table (h), for the layouts
 * of `strategy-tables.test.ts`. The figures are those of the document, written out; where it says
 * "about", a comment says how the exact figure comes about.
 */
import type { CounterName } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { countsOf, only } from './count-in-process.ts';

const N = 4_194_304;
const B = 8_192;

const LAYOUTS = ['S4', 'T4', 'H2', 'H1'] as const;

/** One figure per layout, in the order S4, T4, H2, H1. */
type Table = Partial<Record<CounterName, readonly [number, number, number, number]>>;

const MAP: Table = {
  gupFastCalls: [B, B, B, B],
  gupCalls: [0, 0, 0, 0],
  folioGrabs: [N, N, 8_192, 8_192],
  grabAtomics: [2 * N, 2 * N, 16_384, 16_384],
  pageFills: [N, N, N, N],
  mergeCompares: [
    8_380_415,
    // The first batch is compared twice, 511 + 511; every other one with the end of the entry: 1, and 1
    // per page. Four times the entry is full, at 1,048,575 pages, m = 1 to 4 pages before the end of a
    // batch. For these the compare that finds it full and the two passes make 1 + 2 (m - 1) compares in
    // place of m: m - 1 more.
    1_022 + 8_191 * 513 + 6,
    8_380_415,
    // Per huge page the first batch is compared twice, and joins nothing: 1,022 + 1 (the first of all has
    // nothing to join); the other 511 batches join it: 513.
    16 * (1_022 + 511 * 513) + 15,
  ],
  sgEntries: [N, 5, 8_192, 16],
  iommuMapCalls: [N, 5, 8_192, 16],
  accountingUpdates: [1, 1, 1, 1],
  limitTests: [1, 1, 1, 1],
  // The look-up for the one run of memory.
  vpfnLookups: [1, 1, 1, 1],
  reservedTests: [0, 0, 0, 0],
  // An entry ends a page before 4 GiB, and the next one begins off a 2 MiB border of the addresses.
  // But frames and addresses are off by the same: only the leaves at the four borders are cut.
  iommuLeaves4k: [N, 4 * 512, 0, 0],
  iommuLeaves2m: [0, 8_192 - 4, 8_192, 0],
};

const UNMAP: Table = {
  iovaToPhysCalls: [0, 0, 0, 0],
  iommuUnmapCalls: [1, 1, 1, 1],
  regionAllocs: [1, 1, 1, 1],
  iotlbSyncs: [1, 1, 1, 1],
  // One range unpin per entry, a put per folio in it.
  unpinCalls: [N, 5, 8_192, 16],
  putCalls: [N, N, 8_192, 16],
  putAtomics: [N, N, 16_384, 32],
  dirtyTests: [N, N, 8_192, 16],
  reservedTests: [0, 0, 0, 0],
  vpfnLookups: [0, 0, 0, 0],
  accountingUpdates: [1, 1, 1, 1],
};

describe('page-list, 16 GiB', () => {
  it.concurrent.each(LAYOUTS.map((layout, column) => [layout, column] as const))(
    '%s',
    async (layout, column) => {
      const counts = await countsOf('batches', layout, 'page-list');
      for (const [op, table] of [MAP, UNMAP].entries()) {
        const names = Object.keys(table) as CounterName[];
        const expected = Object.fromEntries(names.map((name) => [name, table[name]?.[column]]));
        expect(only(names, counts[op]), op === 0 ? 'map' : 'unmap').toEqual(expected);
      }
    },
    300_000,
  );
});
