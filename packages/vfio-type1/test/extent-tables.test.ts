/**
 * The operation counts of 16 GiB of the extent algorithm: reference strategies.md, table (j), for the
 * layouts of `strategy-tables.test.ts`. The figures are those of the document, written out; rows that
 * it does not have, and where the model's exact figure is another one, have a comment that says how
 * it comes about.
 */
import type { CounterName } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { countsOf, only } from './count-in-process.ts';

const N = 4_194_304;

const LAYOUTS = ['S4', 'T4', 'H2', 'H1'] as const;

/** One figure per layout, in the order S4, T4, H2, H1. */
type Table = Partial<Record<CounterName, readonly [number, number, number, number]>>;

const MAP: Table = {
  // Not in the table: one pin step per 8,192 extents.
  extentPinCalls: [512, 1, 1, 1],
  pinPagesRemoteCalls: [512, 1, 1, 1],
  // The document has the walk steps of the leaves that are pinned. Each of the 512 pin steps of S4 but
  // the last ends at a leaf that does not fit any more, which the next one reads again.
  leafVisits: [N + 511, N, 8_192, 16],
  // Not in the table: tables of 512 leaves, and for S4 the same 511 once more.
  leafTables: [8_192 + 511, 8_192, 16, 1],
  folioGrabs: [N, N, 8_192, 16],
  grabAtomics: [N, N, 16_384, 32],
  extentMerges: [N, N, 8_192, 16],
  pageFills: [0, 0, 0, 0],
  gupCalls: [0, 0, 0, 0],
  gupSteps: [0, 0, 0, 0],
  migrateChecks: [0, 0, 0, 0],
  reservedTests: [0, 0, 0, 0],
  pfnCompares: [0, 0, 0, 0],
  vpfnLookups: [N, 1, 8_192, 16],
  limitTests: [N, 1, 8_192, 16],
  iommuMapCalls: [N, 1, 8_192, 16],
  // Not in the table: the extents of a pin step are charged together.
  accountingUpdates: [512, 1, 1, 1],
  // Not in the table: what map_pages is called for, and the leaves that it writes, as of (f).
  iommuMapPagesCalls: [N, 1, 8_192, 16],
  iommuLeaves4k: [N, 0, 0, 0],
  iommuLeaves2m: [0, 8_192, 8_192, 0],
  iommuLeaves1g: [0, 0, 0, 16],
};

const UNMAP: Table = {
  // "IOPTE reads or stored extents": stored extents, so that T4 needs no entry of the IOMMU at all.
  extentReads: [N, 1, 8_192, 16],
  iovaToPhysCalls: [0, 0, 0, 0],
  putCalls: [N, N, 8_192, 16],
  putAtomics: [N, N, 16_384, 32],
  dirtyTests: [N, N, 8_192, 16],
  // Not in the table: the whole mapping goes at once, and its charge.
  iommuUnmapCalls: [1, 1, 1, 1],
  iotlbSyncs: [1, 1, 1, 1],
  regionAllocs: [1, 1, 1, 1],
  unpinPagesRemoteCalls: [1, 1, 1, 1],
  accountingUpdates: [1, 1, 1, 1],
  vpfnLookups: [0, 0, 0, 0],
  reservedTests: [0, 0, 0, 0],
  unpinCalls: [0, 0, 0, 0],
};

describe('extent, 16 GiB', () => {
  it.concurrent.each(LAYOUTS.map((layout, column) => [layout, column] as const))(
    '%s',
    async (layout, column) => {
      const counts = await countsOf('batches', layout, 'extent');
      for (const [op, table] of [MAP, UNMAP].entries()) {
        const names = Object.keys(table) as CounterName[];
        const expected = Object.fromEntries(names.map((name) => [name, table[name]?.[column]]));
        expect(only(names, counts[op]), op === 0 ? 'map' : 'unmap').toEqual(expected);
      }
    },
    300_000,
  );
});
