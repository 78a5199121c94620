/**
 * The operation counts of 16 GiB, exactly: reference strategies.md, tables (f) for 6.16 and (g) for
 * 6.18, for the layouts
 *
 * - S4: 4 KiB pages, no two neighbours adjacent,
 * - T4: 4 KiB pages in one physical run,
 * - H2: 2 MiB folios, no two neighbours adjacent,
 * - H1: 1 GiB hugetlb pages, no two neighbours adjacent.
 *
 * The figures are those of the document, written out; a row that it gives as "as (f)" is repeated.
 */
import type { CounterName } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { countsOf, only } from './count-in-process.ts';

const N = 4_194_304;
const B = 8_192;

const LAYOUTS = ['S4', 'T4', 'H2', 'H1'] as const;

/** One figure per layout, in the order S4, T4, H2, H1. */
type Table = Partial<Record<CounterName, readonly [number, number, number, number]>>;

const MAP_616: Table = {
  gupCalls: [B, B, B, B],
  pageFills: [N, N, N, N],
  gupSteps: [N, N, 8_192, 8_192],
  folioGrabs: [N, N, 16_384, 16_384],
  grabAtomics: [N, N, 32_768, 32_768],
  migrateChecks: [N, N, N, N],
  pfnCompares: [8_388_607, N, 4_202_495, 4_194_319],
  pageCompares: [0, 0, 0, 0],
  reservedTests: [8_388_608, 4_194_305, 4_202_496, 4_194_320],
  vpfnLookups: [N, N, N, N],
  limitTests: [N, N, N, N],
  iommuMapCalls: [N, 1, 8_192, 16],
  accountingUpdates: [N, 1, 8_192, 16],
};

const UNMAP_616: Table = {
  iovaToPhysCalls: [8_388_607, N, 4_202_495, 4_194_319],
  iommuUnmapCalls: [N, 1, 8_192, 16],
  regionAllocs: [N, 1, 8_192, 16],
  iotlbSyncs: [8_192, 1, 16, 1],
  reservedTests: [N, N, N, N],
  dirtyTests: [N, N, N, N],
  unpinCalls: [N, N, N, N],
  putCalls: [N, N, N, N],
  putAtomics: [N, N, 8_388_608, 8_388_608],
  vpfnLookups: [N, N, N, N],
  accountingUpdates: [1, 1, 1, 1],
};

const MAP_618: Table = {
  ...MAP_616,
  pageCompares: [4_186_112, 4_186_112, 4_186_112, 4_186_112],
  pfnCompares: [8_388_607, 8_192, 16_383, 8_207],
  vpfnLookups: [N, 8_192, 8_192, 8_192],
  limitTests: [N, 8_192, 8_192, 8_192],
  reservedTests: [8_388_608, 8_193, 16_384, 8_208],
};

const UNMAP_618: Table = {
  ...UNMAP_616,
  vpfnLookups: [N, 1, 8_192, 16],
  reservedTests: [0, 0, 0, 0],
  unpinCalls: [N, 1, 8_192, 16],
  dirtyTests: [N, N, 8_192, 16],
  putCalls: [N, N, 8_192, 16],
  putAtomics: [N, N, 16_384, 32],
};

const TABLES = { batches: [MAP_616, UNMAP_616], runs: [MAP_618, UNMAP_618] } as const;

describe.each(Object.keys(TABLES) as (keyof typeof TABLES)[])('kernel %s, 16 GiB', (release) => {
  it.concurrent.each(LAYOUTS.map((layout, column) => [layout, column] as const))(
    '%s',
    async (layout, column) => {
      const counts = await countsOf(release, layout);
      for (const [op, table] of TABLES[release].entries()) {
        const names = Object.keys(table) as CounterName[];
        const expected = Object.fromEntries(names.map((name) => [name, table[name]?.[column]]));
        expect(only(names, counts[op]), op === 0 ? 'map' : 'unmap').toEqual(expected);
      }
    },
    120_000,
  );
});
