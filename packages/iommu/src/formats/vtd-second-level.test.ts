import { Counters, Errno, KernelBug, type CounterValues } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { IommuDomain } from '../domain.ts';
import { intelVtd } from '../kinds/index.ts';
import { IotlbGather } from '../iotlb-gather.ts';
import { IOMMU, LeafRun, PhysRun, type IoPageTable, type IoPageTableFormat } from './format.ts';
import { vtdSecondLevel, vtdSecondLevel612 } from './vtd-second-level.ts';

const RW = IOMMU.READ | IOMMU.WRITE;
const GIB = 2 ** 18;

interface Vtd {
  readonly domain: IommuDomain;
  readonly table: IoPageTable;
  readonly counters: Counters;
}

function vtd(
  addressWidth = 48,
  superpageOrders: readonly number[] = [9, 18],
  format: IoPageTableFormat = vtdSecondLevel,
): Vtd {
  const counters = new Counters();
  const unit = { ...intelVtd(addressWidth), superpageOrders };
  const table = format.create(unit, counters);
  return { domain: new IommuDomain(unit, table, counters), table, counters };
}

/** Leaves as [iova page, frame, order]. */
function leaves({ table }: Vtd): number[][] {
  return Array.from(table.leaves(), ({ iovaPn, pfn, order }) => [iovaPn, pfn, order]);
}

/** Number of leaves per order. */
function leafCounts({ table }: Vtd): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { order } of table.leaves()) counts[order] = (counts[order] ?? 0) + 1;
  return counts;
}

/** What a step counts. */
function counted({ counters }: Vtd, step: () => void): CounterValues {
  const before = counters.snapshot();
  step();
  return counters.since(before);
}

test('leaves side by side are found together: of one table, size, access, and in a row', () => {
  const { domain, table } = vtd();
  domain.map(510, 1000, 4, RW);
  domain.map(514, 1004, 1, IOMMU.READ);
  domain.map(516, 1006, 1, IOMMU.READ);
  domain.map(1024, 2048, 1024, RW);
  domain.map(GIB, 9, 1, RW);
  const run = new LeafRun();
  const found: number[][] = [];
  for (let from = 0; table.nextLeaves(from, run);) {
    found.push([run.iovaPn, run.pfn, run.order, run.leaves, run.prot]);
    from = run.iovaPn + run.leaves * 2 ** run.order;
  }
  expect(found).toEqual([
    [510, 1000, 0, 2, RW],
    [512, 1002, 0, 2, RW],
    [514, 1004, 0, 1, IOMMU.READ],
    [516, 1006, 0, 1, IOMMU.READ],
    [1024, 2048, 9, 2, RW],
    [GIB, 9, 0, 1, RW],
  ]);
  // From inside of a leaf it is that leaf.
  expect(table.nextLeaves(1700, run)).toBe(true);
  expect([run.iovaPn, run.pfn, run.leaves]).toEqual([1536, 2560, 1]);
  expect(table.nextLeaves(GIB + 1, run)).toBe(false);
});

describe('map_pages', () => {
  // d = iova - frame decides: reference iommu.md §12, rule 3.
  test.each<[string, number, number, number, Record<number, number>]>([
    [
      'incongruent modulo 2 MiB: 4 KiB leaves only',
      GIB,
      4 * GIB + 1,
      2 * GIB + 512,
      { 0: 2 * GIB + 512 },
    ],
    [
      'incongruent modulo 1 GiB: a body of 2 MiB leaves',
      GIB + 511,
      4 * GIB + 512 + 511,
      1025,
      { 0: 1, 9: 2 },
    ],
    [
      'congruent: 4 KiB edges, 2 MiB shoulders, a 1 GiB body',
      2 * GIB - 513,
      6 * GIB - 513,
      GIB + 1026,
      { 0: 2, 9: 2, 18: 1 },
    ],
    ['congruent, but too short for a large leaf', 512, 1024, 511, { 0: 511 }],
  ])('%s', (_, iova, pfn, npage, expected) => {
    const unit = vtd();
    const counts = counted(unit, () => expect(unit.domain.map(iova, pfn, npage, RW)).toBe(0));
    expect(leafCounts(unit)).toEqual(expected);
    expect(counts).toMatchObject({
      iommuLeaves4k: expected[0] ?? 0,
      iommuLeaves2m: expected[9] ?? 0,
      iommuLeaves1g: expected[18] ?? 0,
    });
  });

  test('every leaf is aligned to its size in both spaces, and together they are the range', () => {
    const unit = vtd();
    unit.domain.map(2 * GIB - 513, 6 * GIB - 513, GIB + 1026, RW);
    let at = 2 * GIB - 513;
    for (const [iova, pfn, order] of leaves(unit)) {
      expect([iova, pfn - iova, iova % 2 ** order, pfn % 2 ** order]).toEqual([at, 4 * GIB, 0, 0]);
      at += 2 ** order;
    }
    expect(at).toBe(3 * GIB + 513);
  });

  test.each([
    ['2 MiB and 4 KiB', [9], { 9: 512 }],
    ['4 KiB only (sp_off)', [], { 0: GIB }],
    ['1 GiB without 2 MiB is no choice of the hardware: 4 KiB', [18], { 0: GIB }],
  ] as const)('a unit with leaves of %s', (_, orders, expected) => {
    const unit = vtd(48, orders);
    unit.table.mapPages(GIB, 2 * GIB, 0, GIB, RW);
    expect(leafCounts(unit)).toEqual(expected);
  });

  describe.each([
    // recorded: a write-only map is `w` in 6.16 and 6.18, `rw` in 6.12
    [vtdSecondLevel, IOMMU.WRITE],
    [vtdSecondLevel612, RW],
  ])('$name', (format, writeOnly) => {
    test.each([
      ['READ', IOMMU.READ, IOMMU.READ],
      ['WRITE', IOMMU.WRITE, writeOnly],
      ['READ, WRITE and CACHE', RW | IOMMU.CACHE, RW],
    ])('%s', (_, asked, kept) => {
      const unit = vtd(48, [9, 18], format);
      unit.domain.map(0, 512, 513, asked);
      expect([...unit.table.leaves()].map(({ prot }) => prot)).toEqual([kept, kept]);
    });

    test('no access is refused: there is no present bit', () => {
      const unit = vtd(48, [9, 18], format);
      expect(unit.table.mapPages(0, 512, 0, 1, IOMMU.CACHE)).toBe(-Errno.EINVAL);
      expect(unit.table.mapped).toBe(0);
      expect(unit.table.tablePages).toBe(1);
    });
  });

  test('leaves a present entry as it is and reports success', () => {
    const unit = vtd();
    unit.domain.map(0, 700, 1, RW);
    expect(unit.domain.map(0, 800, 2, RW)).toBe(0);
    expect(leaves(unit)).toEqual([
      [0, 700, 0],
      [1, 801, 0],
    ]);
  });

  test('under a superpage corrupts the kernel', () => {
    const unit = vtd();
    unit.domain.map(512, 1024, 512, RW);
    expect(() => unit.domain.map(600, 7, 1, RW)).toThrow(KernelBug);
  });
});

describe('table pages', () => {
  // Reference iommu.md §7.4 and §15: ceil(n / 512) per level, for 16 GiB.
  test.each<[string, number, number, number, number]>([
    // name, width, order of the leaves, table pages below the root
    ['4 KiB leaves', 48, 0, 8192, 16 + 1],
    ['2 MiB leaves', 48, 9, 16, 1],
    ['1 GiB leaves', 48, 18, 0, 1],
    ['4 KiB leaves', 39, 0, 8192, 16],
    ['1 GiB leaves', 57, 18, 0, 2],
  ])('%s of 16 GiB, %i bits', (_, width, order, last, above) => {
    const unit = vtd(
      width,
      [9, 18].filter((o) => o <= order),
    );
    const before = unit.table.tablePages;
    expect(before).toBe(1);
    unit.table.mapPages(16 * GIB, 32 * GIB, 0, 16 * GIB, RW);
    expect(unit.table.tablePages - before).toBe(last + above);
    expect(unit.counters.snapshot().iommuTableAllocs).toBe(last + above);
  });

  test('survive an unmap that does not cover them, and are used again', () => {
    const unit = vtd();
    const map = (): CounterValues => counted(unit, () => unit.domain.map(GIB, 7, 1024, RW));
    expect(map().iommuTableAllocs).toBe(4);
    unit.domain.unmap(GIB, 512);
    unit.domain.unmap(GIB + 512, 511);
    unit.domain.unmap(GIB + 1023, 1);
    expect(leaves(unit)).toEqual([]);
    // The first of the two last-level tables was covered by the first unmap, the second by none.
    expect(unit.table.tablePages).toBe(1 + 3);
    expect(map().iommuTableAllocs).toBe(1);
  });

  test('are freed with all tables below them, after the IOTLB sync', () => {
    const unit = vtd();
    unit.domain.map(GIB, 7, 1024, RW);
    const gather = new IotlbGather();
    expect(unit.domain.unmapFast(GIB, GIB, gather)).toBe(GIB);
    expect(unit.table.tablePages).toBe(1 + 4);
    expect(counted(unit, () => unit.domain.iotlbSync(gather))).toMatchObject({
      iommuTableFrees: 3,
      cacheTagFlushes: 1,
    });
    expect(unit.table.tablePages).toBe(1 + 1);
    expect(gather.freelist).toEqual([]);
  });
});

describe('a superpage over tables that an unmap left behind', () => {
  // Recorded: cache_tag_flush_range once per such entry.
  function withLeftovers(): Vtd {
    const unit = vtd();
    for (const table of [0, 1, 3]) {
      unit.domain.map(GIB + table * 512 + 5, 7, 1, RW);
      unit.domain.unmap(GIB + table * 512 + 5, 1);
    }
    return unit;
  }

  test('frees each table at once, with a flush each', () => {
    const unit = withLeftovers();
    const tables = unit.table.tablePages;
    const counts = counted(unit, () => unit.domain.map(GIB, 2 * GIB, 4 * 512, RW));
    expect(counts).toMatchObject({
      cacheTagFlushes: 3,
      iommuTableFrees: 3,
      iommuLeaves2m: 4,
      iommuTableAllocs: 0,
    });
    expect(unit.table.tablePages).toBe(tables - 3);
    expect(leaves(unit).map(([iova]) => iova)).toEqual(
      [0, 512, 1024, 1536].map((page) => GIB + page),
    );
  });

  test('of 1 GiB frees the whole tree below with one flush', () => {
    const unit = withLeftovers();
    const counts = counted(unit, () => unit.domain.map(GIB, 2 * GIB, GIB, RW));
    expect(counts).toMatchObject({ cacheTagFlushes: 1, iommuTableFrees: 4, iommuLeaves1g: 1 });
    expect(leaves(unit)).toEqual([[GIB, 2 * GIB, 18]]);
  });
});

describe('unmap_pages', () => {
  test('of exactly what was mapped returns its length', () => {
    for (const [iova, pfn, npage] of [
      [5, 7, 1],
      [511, 1023, 1025],
      [GIB - 513, 2 * GIB - 513, GIB + 1000],
    ]) {
      const unit = vtd();
      unit.domain.map(iova, pfn, npage, RW);
      expect(unit.domain.unmap(iova, npage)).toBe(npage);
      expect(leaves(unit)).toEqual([]);
    }
  });

  test('of the start of a superpage removes it whole', () => {
    const unit = vtd();
    unit.domain.map(GIB, 4 * GIB, GIB + 512, RW);
    expect(unit.domain.unmap(2 * GIB, 1)).toBe(512);
    expect(leaves(unit)).toEqual([[GIB, 4 * GIB, 18]]);
    expect(unit.domain.unmap(GIB, 512)).toBe(GIB);
    expect(leaves(unit)).toEqual([]);
  });

  test('over runs that were mapped separately, between leaf borders', () => {
    const unit = vtd();
    unit.domain.map(0, 700, 3, RW);
    unit.domain.map(3, 900, 509, RW);
    unit.domain.map(512, 1024, 512, RW);
    expect(unit.domain.unmap(0, 1024)).toBe(1024);
    expect(leaves(unit)).toEqual([]);
  });

  test('keeps what lies before and behind', () => {
    const unit = vtd();
    unit.domain.map(0, 700, 10, RW);
    expect(unit.domain.unmap(3, 4)).toBe(4);
    expect(leaves(unit).map(([iova]) => iova)).toEqual([0, 1, 2, 7, 8, 9]);
  });

  describe('of a hole reports it as unmapped, raised to the size of the absent entry', () => {
    test.each([
      ['an entry absent in a last-level table', 5, 1, 1],
      ['an absent last-level table', 512, 1, 512],
      ['one in its middle', 700, 1, 512],
      ['more than it', 512, 600, 600],
      ['an absent directory', GIB, 1, GIB],
      ['an absent higher directory', 2 ** 27, 5, 2 ** 27],
    ])('%s', (_, iova, npage, reported) => {
      const unit = vtd();
      unit.domain.map(0, 7, 1, RW);
      expect(unit.table.unmapPages(iova, 0, npage, new IotlbGather())).toBe(reported);
      expect(leaves(unit)).toEqual([[0, 7, 0]]);
    });

    test('from the middle of a 2 MiB slot it clears leaves of the next one', () => {
      const unit = vtd();
      unit.domain.map(1024, 7, 200, RW);
      expect(unit.domain.unmap(612, 1)).toBe(512);
      expect(leaves(unit).map(([iova]) => iova)).toEqual(
        Array.from({ length: 100 }, (_, i) => 1124 + i),
      );
    });
  });

  describe('outside the address width unmaps nothing', () => {
    test.each([39, 48, 57])('%i bits', (width) => {
      const unit = vtd(width);
      const end = unit.table.aperturePages;
      unit.domain.map(0, 7, 3, RW);
      unit.domain.map(end - 2, 70, 2, RW);
      expect(unit.domain.unmap(end, 1)).toBe(0);
      expect(unit.domain.unmap(end + 512, 512)).toBe(0);
      expect(leaves(unit).map(([iova]) => iova)).toEqual([0, 1, 2, end - 2, end - 1]);
    });
  });
});

describe('the gather takes whole pieces', () => {
  /** Syncs inside and flushes of unmapping ranges into one gather. */
  function syncs(...ranges: readonly (readonly [number, number])[]): number[] {
    const unit = vtd();
    for (const [iova, npage] of ranges) unit.domain.map(iova, 2 ** 20 + iova, npage, RW);
    const gather = new IotlbGather();
    const counts = counted(unit, () => {
      for (const [iova, npage] of ranges) unit.domain.unmapFast(iova, npage, gather);
    });
    return [counts.iotlbGatherSyncs, counts.cacheTagFlushes];
  }

  test.each<[string, (readonly [number, number])[], number]>([
    [
      'pieces of one size that follow each other: none',
      [
        [1, 3],
        [4, 3],
        [7, 3],
      ],
      0,
    ],
    [
      'a piece of another size',
      [
        [1, 3],
        [4, 4],
      ],
      1,
    ],
    [
      'sizes that alternate',
      [
        [1, 3],
        [4, 4],
        [8, 3],
      ],
      2,
    ],
    [
      'a gap',
      [
        [1, 3],
        [5, 3],
      ],
      1,
    ],
    [
      'a piece that touches from below',
      [
        [4, 3],
        [1, 3],
      ],
      0,
    ],
  ])('%s', (_, ranges, expected) => {
    expect(syncs(...ranges)).toEqual([expected, expected]);
  });

  test('one range of several page sizes syncs between them', () => {
    // 511 × 4K, 511 × 2M, 1 × 1G, 1 × 4K: the pieces have 511, 261,632, 262,144 and 1 pages.
    expect(syncs([1, 2 * GIB])).toEqual([3, 3]);
  });
});

test('a scan over the end of the address width costs one more call there, which reads no table', () => {
  const unit = vtd();
  const end = unit.table.aperturePages;
  unit.domain.map(end - 2, 70, 2, RW);
  const run = new PhysRun();
  const counts = counted(unit, () => unit.domain.iovaToPhysRun(end - 2, 10, run));
  expect(run).toEqual({ pfn: 70, npage: 2 });
  expect(counts).toMatchObject({ iovaToPhysCalls: 3, iovaToPhysLevels: 4 + 4 + 0 });
});

describe('iova_to_phys', () => {
  const unit = vtd();
  unit.domain.map(GIB, 4 * GIB, GIB + 512 + 3, RW);

  test.each([
    // iova page, frame, levels read
    ['in a 1 GiB leaf', 2 * GIB - 1, 5 * GIB - 1, 2],
    ['in a 2 MiB leaf', 2 * GIB + 5, 5 * GIB + 5, 3],
    ['in a 4 KiB leaf', 2 * GIB + 514, 5 * GIB + 514, 4],
    ['behind the last 4 KiB leaf', 2 * GIB + 515, 0, 4],
    ['under an absent directory', 0, 0, 2],
    ['under an absent higher directory', 2 ** 30, 0, 1],
    ['outside the width', 2 ** 36, 0, 0],
  ])('%s', (_, iova, pfn, levels) => {
    const counts = counted(unit, () => expect(unit.domain.iovaToPhys(iova)).toBe(pfn));
    expect(counts).toMatchObject({ iovaToPhysCalls: 1, iovaToPhysLevels: levels });
  });
});
