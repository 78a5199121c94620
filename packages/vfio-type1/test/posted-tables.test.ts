/**
 * The operation counts of 16 GiB of the algorithms that were posted or replaced: reference
 * strategies.md, tables (a), (b) and (e), for the layouts of `strategy-tables.test.ts`; "a" behind a
 * layout means that its huge pages are adjacent. The figures are those of the document, written out;
 * where the algorithm does something else than the document says, a comment gives the reason.
 */
import type { CounterName, CounterValues } from '@pinfold/base';
import { mmapMemory, PrescribedLayout } from '@pinfold/mm';
import { describe, expect, it, test } from 'vitest';
import { pinAlgorithm } from '../src/index.ts';
import { countsOf, only } from './count-in-process.ts';
import { Guest, PFN, VPN } from './guest.ts';
import { BATCHES } from './kernels.ts';

const N = 4_194_304;
const B = 8_192;

type Table = Partial<Record<CounterName, number>>;

/** Map and unmap by algorithm and layout. */
const TABLES: Readonly<Record<string, Readonly<Record<string, readonly [Table, Table]>>>> = {
  'page-at-a-time': {
    S4: [pageWise(8_388_607, N, 1), asBatched(8_388_607, N, 8_192, 1)],
    T4: [pageWise(N, 1, 1), asBatched(N, 1, 1, 1)],
    H2: [pageWise(4_202_495, 8_192, 2), asBatched(4_202_495, 8_192, 16, 2)],
    H1: [pageWise(4_194_319, 16, 2), asBatched(4_194_319, 16, 1, 2)],
  },
  'hugetlb-2020': {
    G2: [
      hugePages({ gupCalls: 24_575, bulkPins: 8_192, unwindPuts: 8_191 }, 81_916),
      hugeUnmap(24_575, 8_192),
    ],
    G2a: [
      hugePages({ gupCalls: 8_193, bulkPins: 8_192, unwindPuts: 0 }, 32_770),
      hugeUnmap(8_193, 8_192),
    ],
    H1: [hugePages({ gupCalls: 47, bulkPins: 16, unwindPuts: 15 }, 156), hugeUnmap(47, 16)],
    H1a: [hugePages({ gupCalls: 17, bulkPins: 16, unwindPuts: 0 }, 66), hugeUnmap(17, 16)],
  },
  'hugetlb-v1-2025': {
    G2: [wholeBatches(8_192), asBatched(4_202_495, 8_192, 16, 2)],
    H1: [wholeBatches(16), asBatched(4_194_319, 16, 1, 2)],
  },
};

/** Table (a): GUP calls, physical runs, and atomic operations of a grab. */
function pageWise(gupCalls: number, runs: number, atomics: number): Table {
  return {
    gupCalls,
    pageFills: gupCalls,
    pfnCompares: N - 1,
    vpfnLookups: N,
    grabAtomics: gupCalls * atomics,
    unwindPuts: runs - 1,
    iommuMapCalls: runs,
    accountingUpdates: runs,
  };
}

/** The unmap of table (f), which (a) and (e) share. */
function asBatched(probes: number, runs: number, syncs: number, atomics: number): Table {
  return {
    iovaToPhysCalls: probes,
    iommuUnmapCalls: runs,
    regionAllocs: runs,
    iotlbSyncs: syncs,
    reservedTests: N,
    dirtyTests: N,
    unpinCalls: N,
    putCalls: N,
    putAtomics: N * atomics,
    vpfnLookups: N,
    accountingUpdates: 1,
  };
}

/** Table (b), map: a tree walk per bulk add. `atomics` are those of pins and puts. */
function hugePages(counts: Table, atomics: number): Table {
  const puts = 2 * (counts.unwindPuts ?? 0);
  return {
    ...counts,
    vpfnTreeWalks: counts.bulkPins ?? 0,
    grabAtomics: atomics - puts,
    putAtomics: puts,
  };
}

/** Table (b), unmap: a put per huge page. */
function hugeUnmap(probes: number, hugePageCount: number): Table {
  return {
    iovaToPhysCalls: probes,
    putCalls: hugePageCount,
    putAtomics: 2 * hugePageCount,
    vpfnTreeWalks: hugePageCount,
    unpinCalls: 0,
    vpfnLookups: 0,
  };
}

/** The costs of (e). */
function wholeBatches(runs: number): Table {
  return {
    gupCalls: B,
    pageFills: N,
    vpfnLookups: B,
    limitTests: B,
    pageCompares: 0,
    // The document says that nothing is compared, which is so for the entries of a batch. But its
    // first entry is compared with base + pinned, and once more if it began the next chunk instead.
    pfnCompares: B + runs - 1,
    hugetlbTests: B + runs - 1,
    iommuMapCalls: runs,
    accountingUpdates: runs,
  };
}

describe.each(Object.keys(TABLES))('%s, 16 GiB', (algorithm) => {
  it.concurrent.each(Object.keys(TABLES[algorithm]))(
    '%s',
    async (layout) => {
      const [map, unmap] = await countsOf('batches', layout, algorithm);
      const [mapTable, unmapTable] = TABLES[algorithm][layout];
      expect(only(Object.keys(mapTable), map), 'map').toEqual(mapTable);
      expect(only(Object.keys(unmapTable), unmap), 'unmap').toEqual(unmapTable);
    },
    240_000,
  );
});

describe('hugetlb-2020 with memory that is not hugetlb', () => {
  const PAGES = 8192;

  /** What map and unmap of 32 MiB count. */
  function counts(name: string, order: number, adjacent: boolean): CounterValues[] {
    const guest = new Guest({ kernel: BATCHES, type1: { pinAlgorithm: pinAlgorithm(name) } });
    const folio = 2 ** order;
    const runs = Array.from({ length: PAGES / folio }, (_, i) => ({
      vpn: VPN + i * folio,
      pfn: PFN + (adjacent ? i : i ^ 1) * folio,
      npage: folio,
      order,
    }));
    mmapMemory(guest.mm, {
      vpn: VPN,
      npage: PAGES,
      kind: 'anon',
      order,
      frames: new PrescribedLayout(runs),
    });
    return [
      guest.counted(() => void guest.map(0, PAGES)),
      guest.counted(() => void guest.unmap(0, PAGES)),
    ];
  }

  // The document says: as (a), and a hugetlb test per page. On map only a look-ahead page is tested
  // that continues its chunk and is not the last page wanted; where no two pages are adjacent, none is.
  // On unmap every page is tested when it is put, and before that if the scan found it to continue.
  test.each([
    ['S4', 0, false, 0, PAGES],
    ['T4', 0, true, PAGES - 2, PAGES + PAGES - 1],
    ['THP', 9, false, PAGES - PAGES / 512 - 1, PAGES + PAGES - PAGES / 512],
  ] as const)('%s: as page-at-a-time, and tests', (_, order, adjacent, onMap, onUnmap) => {
    const [map, unmap] = counts('page-at-a-time', order, adjacent);
    expect(counts('hugetlb-2020', order, adjacent)).toEqual([
      { ...map, hugetlbTests: onMap },
      { ...unmap, hugetlbTests: onUnmap },
    ]);
    expect(map.gupCalls).toBe(PAGES + map.iommuMapCalls - 1);
  });
});
