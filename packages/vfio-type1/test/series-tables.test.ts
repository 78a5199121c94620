/**
 * The operation counts of 16 GiB of the patches of 2025, one after the other, and of what went before:
 * reference strategies.md, table (g) and the paragraph on the predecessor for unpin, for the layouts of
 * `strategy-tables.test.ts`. All patches together are 6.18, which is there. The figures are those of
 * the document, written out; rows "as (f)" are repeated.
 */
import type { CounterName } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { countsOf, only } from './count-in-process.ts';

const N = 4_194_304;
const B = 8_192;

const LAYOUTS = ['S4', 'T4', 'H2', 'H1'] as const;

/** One figure per layout, in the order S4, T4, H2, H1. */
type Table = Partial<Record<CounterName, readonly [number, number, number, number]>>;

/** What no patch changes on map. */
const MAP: Table = {
  gupCalls: [B, B, B, B],
  pageFills: [N, N, N, N],
  gupSteps: [N, N, 8_192, 8_192],
  folioGrabs: [N, N, 16_384, 16_384],
  grabAtomics: [N, N, 32_768, 32_768],
  migrateChecks: [N, N, N, N],
  iommuMapCalls: [N, 1, 8_192, 16],
  accountingUpdates: [N, 1, 8_192, 16],
};

const MAP_COMPARE: Table = {
  ...MAP,
  pageCompares: [4_186_112, 4_186_112, 4_186_112, 4_186_112],
  pfnCompares: [8_388_607, 8_192, 16_383, 8_207],
  vpfnLookups: [N, 8_192, 8_192, 8_192],
  limitTests: [N, 8_192, 8_192, 8_192],
  // R + C; the document leaves T4 open.
  reservedTests: [8_388_608, 8_193, 16_384, 8_208],
  folioLookups: [0, 0, 0, 0],
};

/** Runs end with the folio: R is N for all small pages, and with it what is done per run. */
const MAP_FOLIO: Table = {
  ...MAP,
  pageCompares: [0, 0, 4_186_112, 4_186_112],
  pfnCompares: [8_388_607, N, 16_383, 8_207],
  vpfnLookups: [N, N, 8_192, 8_192],
  limitTests: [N, N, 8_192, 8_192],
  reservedTests: [8_388_608, 4_194_305, 16_384, 8_208],
  folioLookups: [N, N, 8_192, 8_192],
};

/** What no patch changes on unmap. */
const UNMAP: Table = {
  iovaToPhysCalls: [8_388_607, N, 4_202_495, 4_194_319],
  iommuUnmapCalls: [N, 1, 8_192, 16],
  regionAllocs: [N, 1, 8_192, 16],
  iotlbSyncs: [8_192, 1, 16, 1],
  accountingUpdates: [1, 1, 1, 1],
};

/** Table (f). */
const UNMAP_EACH: Table = {
  ...UNMAP,
  vpfnLookups: [N, N, N, N],
  reservedTests: [N, N, N, N],
  unpinCalls: [N, N, N, N],
  putCalls: [N, N, N, N],
  dirtyTests: [N, N, N, N],
  putAtomics: [N, N, 8_388_608, 8_388_608],
};

/** Patch 2: look-ups per region. */
const UNMAP_COUNTED_ONCE: Table = { ...UNMAP_EACH, vpfnLookups: [N, 1, 8_192, 16] };

/** The puts of a region by folios. */
const UNMAP_FOLIOS: Table = {
  ...UNMAP,
  putCalls: [N, N, 8_192, 16],
  dirtyTests: [N, N, 8_192, 16],
  putAtomics: [N, N, 16_384, 32],
  unpinCalls: [N, N, 8_192, 16],
  folioLookups: [N, N, 8_192, 16],
};

const TABLES: Readonly<Record<string, readonly [Table, Table]>> = {
  'series-1-folio': [MAP_FOLIO, UNMAP_EACH],
  'series-1-compare': [MAP_COMPARE, UNMAP_EACH],
  'series-1-2': [MAP_COMPARE, UNMAP_COUNTED_ONCE],
  'series-1-3': [MAP_COMPARE, UNMAP_COUNTED_ONCE],
  // Per folio: two tests, one for the length of the step and one for the put, and a look-up.
  'unpin-rfc-2025': [
    MAP_FOLIO,
    {
      ...UNMAP_FOLIOS,
      reservedTests: [8_388_608, 8_388_608, 16_384, 32],
      vpfnLookups: [N, N, 8_192, 16],
    },
  ],
  // Per folio: one test. Per region: a look-up.
  'unpin-folio-2025': [
    MAP_FOLIO,
    { ...UNMAP_FOLIOS, reservedTests: [N, N, 8_192, 16], vpfnLookups: [N, 1, 8_192, 16] },
  ],
};

describe.each(Object.keys(TABLES))('%s, 16 GiB', (algorithm) => {
  const columns = LAYOUTS.map((layout, column) => [layout, column] as const);
  // Patch 3 adds nothing that is counted: the layout that takes longest is left out.
  const counted = algorithm === 'series-1-3' ? columns.slice(1) : columns;
  it.concurrent.each(counted)(
    '%s',
    async (layout, column) => {
      const counts = await countsOf('batches', layout, algorithm);
      for (const [op, table] of TABLES[algorithm].entries()) {
        const names = Object.keys(table) as CounterName[];
        const expected = Object.fromEntries(names.map((name) => [name, table[name]?.[column]]));
        expect(only(names, counts[op]), op === 0 ? 'map' : 'unmap').toEqual(expected);
      }
    },
    300_000,
  );
});
