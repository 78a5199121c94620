import { Counters, Errno, type CounterValues } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { IommuDomain } from '../domain.ts';
import { intelVtd } from '../kinds/index.ts';
import { IotlbGather } from '../iotlb-gather.ts';
import { IOMMU, PhysRun, type IoPageTable } from './format.ts';
import { genericPtVtdSs } from './generic-pt-vtd-ss.ts';

const RW = IOMMU.READ | IOMMU.WRITE;
const GIB = 2 ** 18;

interface Unit {
  readonly domain: IommuDomain;
  readonly table: IoPageTable;
  readonly counters: Counters;
}

function makeUnit(addressWidth = 48, superpageOrders: readonly number[] = [9, 18]): Unit {
  const counters = new Counters();
  const facts = { ...intelVtd(addressWidth), superpageOrders };
  const table = genericPtVtdSs.create(facts, counters);
  return { domain: new IommuDomain(facts, table, counters), table, counters };
}

/** A domain with ranges mapped: [iova page, frame, pages] each. */
function mapped(...ranges: readonly (readonly [number, number, number])[]): Unit {
  const unit = makeUnit();
  for (const [iova, pfn, npage] of ranges) expect(unit.domain.map(iova, pfn, npage, RW)).toBe(0);
  return unit;
}

/** Leaves as [iova page, frame, order]. */
function leaves({ table }: Unit): number[][] {
  return Array.from(table.leaves(), ({ iovaPn, pfn, order }) => [iovaPn, pfn, order]);
}

/** What a step counts. */
function counted({ counters }: Unit, step: () => void): CounterValues {
  const before = counters.snapshot();
  step();
  return counters.since(before);
}

describe('a map', () => {
  test('has the leaf sizes that alignment and length allow, and no call per size', () => {
    const unit = makeUnit();
    const counts = counted(unit, () => {
      expect(unit.domain.map(2 * GIB - 513, 6 * GIB - 513, GIB + 1026, RW)).toBe(0);
    });
    expect(leaves(unit)).toEqual([
      [2 * GIB - 513, 6 * GIB - 513, 0],
      [2 * GIB - 512, 6 * GIB - 512, 9],
      [2 * GIB, 6 * GIB, 18],
      [3 * GIB, 7 * GIB, 9],
      [3 * GIB + 512, 7 * GIB + 512, 0],
    ]);
    expect(counts).toMatchObject({
      iommuMapCalls: 1,
      iommuMapPagesCalls: 0,
      iommuLeaves4k: 2,
      iommuLeaves2m: 2,
      iommuLeaves1g: 1,
      iommuTableAllocs: 1 + 2 + 2,
      cacheTagFlushes: 0,
    });
  });

  test.each([
    ['without superpages', [], { 0: GIB + 512 }],
    ['without 1 GiB pages', [9], { 9: 513 }],
    ['without 2 MiB pages', [18], { 0: 512, 18: 1 }],
  ] as const)('%s', (_, orders, expected) => {
    const unit = makeUnit(48, orders);
    unit.domain.map(GIB, 2 * GIB, GIB + 512, RW);
    const counts: Record<number, number> = {};
    for (const { order } of unit.table.leaves()) counts[order] = (counts[order] ?? 0) + 1;
    expect(counts).toEqual(expected);
  });

  test.each([
    [IOMMU.READ, IOMMU.READ],
    [IOMMU.WRITE, IOMMU.WRITE],
    [RW | IOMMU.CACHE, RW],
  ])('with access bits %i has leaves of %i', (asked, kept) => {
    const unit = makeUnit();
    unit.domain.map(0, 512, 513, asked);
    expect([...unit.table.leaves()].map(({ prot }) => prot)).toEqual([kept, kept]);
  });

  test.each([
    ['without access', 5, 7, 1, IOMMU.CACHE, Errno.EINVAL],
    ['without access, and beyond all addresses', 2 ** 36, 2 ** 40, 1, 0, Errno.EINVAL],
    ['of nothing', 5, 7, 0, RW, Errno.EINVAL],
    ['to a frame above 52 address bits', 5, 2 ** 40, 1, RW, Errno.ERANGE],
    ['that ends above the input width', 2 ** 36 - 1, 7, 2, RW, Errno.ERANGE],
    ['above the input width', 2 ** 40, 7, 1, RW, Errno.ERANGE],
  ])('%s is refused and touches nothing', (_, iova, pfn, npage, prot, errno) => {
    const unit = makeUnit();
    expect(unit.domain.map(iova, pfn, npage, prot)).toBe(-errno);
    expect(unit.table.mapped).toBe(0);
    expect(unit.table.tablePages).toBe(1);
  });

  test.each([39, 48, 57])('of %i bits reaches up to the last page', (width) => {
    const unit = makeUnit(width);
    const last = 2 ** (width - 12) - 1;
    expect(unit.domain.apertureLast).toBe(last);
    expect(unit.domain.map(last, 2 ** 40 - 1, 1, RW)).toBe(0);
    expect(unit.domain.iovaToPhys(last)).toBe(2 ** 40 - 1);
    expect(unit.table.tablePages).toBe((width - 12) / 9);
  });
});

describe('a map over what is mapped is EADDRINUSE and leaves that alone', () => {
  test.each<[string, [number, number, number], [number, number], number]>([
    // what is there, then iova page and pages of the second map, and the tables afterwards
    ['a page over a page', [5, 700, 1], [5, 1], 4],
    ['pages that run into a page', [9, 700, 1], [5, 6], 4],
    ['a page under a large leaf', [512, 1024, 512], [600, 1], 3],
    ['a page under a 1 GiB leaf', [GIB, GIB, GIB], [GIB + 600, 1], 2],
    ['a large leaf over a page', [700, 7, 1], [512, 512], 4],
    ['a large leaf over a large leaf', [512, 1024, 512], [512, 512], 3],
    ['a 1 GiB leaf over a page', [GIB + 1025, 7, 1], [GIB, GIB], 4],
    ['a 1 GiB leaf over a large leaf', [GIB + 1024, 1024, 512], [GIB, GIB], 3],
    ['large leaves that run into a page', [1536 + 5, 7, 1], [512, 2048], 4],
  ])('%s', (_, there, [iova, npage], tables) => {
    const unit = mapped(there);
    const before = leaves(unit);
    // What it did write is taken back.
    expect(unit.domain.map(iova, 8 * GIB + iova, npage, RW)).toBe(-Errno.EADDRINUSE);
    expect(leaves(unit)).toEqual(before);
    expect(unit.table.tablePages).toBe(tables);
  });

  test('tables that it allocated stay when the undo does not cover them', () => {
    const unit = mapped([1024 + 9, 700, 1]);
    expect(unit.table.tablePages).toBe(4);
    expect(unit.domain.map(1000, 8 * GIB + 1, 40, RW)).toBe(-Errno.EADDRINUSE);
    expect(leaves(unit)).toEqual([[1033, 700, 0]]);
    expect(unit.table.tablePages).toBe(5);
  });

  test('what it wrote before is counted, undone and flushed once', () => {
    const unit = mapped([9, 700, 1]);
    const counts = counted(unit, () => unit.domain.map(5, 800, 6, RW));
    expect(unit.table.mapped).toBe(4);
    expect(counts).toMatchObject({
      iommuLeaves4k: 4,
      iommuUnmapCalls: 1,
      iotlbSyncs: 1,
      cacheTagFlushes: 1,
    });
  });
});

describe('a large leaf over tables that an unmap left behind', () => {
  /** Empty last-level tables at the 2 MiB slots 0, 1 and 3 from 1 GiB on. */
  function withLeftovers(): Unit {
    const unit = makeUnit();
    for (const slot of [0, 1, 3]) {
      unit.domain.map(GIB + slot * 512 + 5, 7, 1, RW);
      unit.domain.unmap(GIB + slot * 512 + 5, 1);
    }
    expect(unit.table.tablePages).toBe(1 + 2 + 3);
    return unit;
  }

  // Recorded on 7.2.12: intel_iommu_tlb_sync and one cache_tag_flush_range inside iommu_map.
  test('frees them with one flush for the whole map', () => {
    const unit = withLeftovers();
    const counts = counted(unit, () => unit.domain.map(GIB, 2 * GIB, 4 * 512, RW));
    expect(counts).toMatchObject({
      iotlbGatherSyncs: 1,
      iotlbSyncs: 0,
      cacheTagFlushes: 1,
      iommuTableFrees: 3,
      iommuTableAllocs: 0,
      iommuLeaves2m: 4,
    });
    expect(unit.table.tablePages).toBe(1 + 2);
    expect(unit.domain.iovaToPhys(GIB + 3 * 512 + 5)).toBe(2 * GIB + 3 * 512 + 5);
  });

  test('flushes from the first that it replaces to the last', () => {
    const unit = withLeftovers();
    const flushed: number[][] = [];
    const sync = unit.table.iotlbSync.bind(unit.table);
    unit.table.iotlbSync = (gather) => {
      flushed.push([gather.start, gather.end]);
      sync(gather);
    };
    unit.domain.map(GIB + 512, 2 * GIB + 512, 4 * 512, RW);
    // Slots 1 and 3, and slot 2 between them, but not slot 4, which had no table.
    expect(flushed).toEqual([[GIB + 512, GIB + 4 * 512 - 1]]);
  });

  test('flushes again only if the next map replaces some', () => {
    const unit = withLeftovers();
    const flushes = [0, 1, 2, 3].map(
      (slot) =>
        counted(unit, () => unit.domain.map(GIB + slot * 512, 2 * GIB + slot * 512, 512, RW))
          .cacheTagFlushes,
    );
    expect(flushes).toEqual([1, 1, 0, 1]);
  });

  test('of 1 GiB frees the tables of both levels', () => {
    const unit = withLeftovers();
    const counts = counted(unit, () => unit.domain.map(GIB, 2 * GIB, GIB, RW));
    expect(counts).toMatchObject({ cacheTagFlushes: 1, iommuTableFrees: 1 + 3, iommuLeaves1g: 1 });
    expect(unit.table.tablePages).toBe(2);
  });

  test('frees those it came across even if it fails further on', () => {
    const unit = withLeftovers();
    unit.domain.map(GIB + 3 * 512 + 9, 7, 1, RW);
    const counts = counted(unit, () => {
      expect(unit.domain.map(GIB, 2 * GIB, 4 * 512, RW)).toBe(-Errno.EADDRINUSE);
    });
    expect(counts).toMatchObject({
      iotlbGatherSyncs: 1,
      iotlbSyncs: 1,
      cacheTagFlushes: 2,
      iommuTableFrees: 2,
      iommuLeaves2m: 3,
    });
    expect(leaves(unit)).toEqual([[GIB + 3 * 512 + 9, 7, 0]]);
  });
});

describe('an unmap', () => {
  test.each<[string, [number, number, number][], [number, number], number, number[]]>([
    // what is mapped, what is unmapped, pages reported, iova pages of the leaves that stay
    ['of exactly what was mapped', [[511, 1023, 1025]], [511, 1025], 1025, []],
    ['of some pages', [[0, 700, 6]], [2, 3], 3, [0, 1, 5]],
    [
      'over several maps',
      [
        [0, 700, 3],
        [3, 900, 509],
        [512, 1024, 512],
      ],
      [0, 1024],
      1024,
      [],
    ],
    ['of the start of a 2 MiB leaf takes it whole', [[512, 1024, 512]], [512, 1], 512, []],
    ['of the start of a 1 GiB leaf takes it whole', [[GIB, GIB, GIB]], [GIB, 512], GIB, []],
    ['of the middle of a 2 MiB leaf is refused', [[512, 1024, 512]], [513, 511], 0, [512]],
    ['of the middle of a 1 GiB leaf is refused', [[GIB, GIB, GIB]], [GIB + 512, 512], 0, [GIB]],
    ['that ends inside a large leaf takes it whole', [[511, 1023, 513]], [511, 2], 513, []],
    ['takes the large leaf it ends in, not the next', [[512, 1024, 1024]], [512, 513], 1024, []],
    [
      'ends at an absent page',
      [
        [0, 700, 3],
        [4, 704, 3],
      ],
      [0, 7],
      3,
      [4, 5, 6],
    ],
    [
      'ends at an absent table',
      [
        [510, 700, 2],
        [1024, 7, 1],
      ],
      [510, 515],
      2,
      [1024],
    ],
    ['of an absent page', [[0, 700, 3]], [3, 1], 0, [0, 1, 2]],
    ['that begins at an absent page', [[1, 700, 1]], [0, 2], 0, [1]],
    ['under an absent directory', [[0, 700, 1]], [GIB, 1], 0, [0]],
  ])('%s', (_, ranges, [iova, npage], unmapped, left) => {
    const unit = mapped(...ranges);
    const counts = counted(unit, () => expect(unit.domain.unmap(iova, npage)).toBe(unmapped));
    expect(leaves(unit).map(([at]) => at)).toEqual(left);
    expect(counts).toMatchObject({
      iommuUnmapCalls: 1,
      iommuUnmapPagesCalls: 0,
      iotlbSyncs: 1,
      iotlbGatherSyncs: 0,
      cacheTagFlushes: 1,
    });
  });

  test.each([39, 48, 57])('above the input width of %i bits does nothing', (width) => {
    const unit = makeUnit(width);
    const end = unit.table.aperturePages;
    unit.domain.map(end - 2, 70, 2, RW);
    expect(unit.domain.unmap(end - 2, 3)).toBe(0);
    expect(unit.domain.unmap(end, 1)).toBe(0);
    expect(unit.domain.unmap(end - 1, 0)).toBe(0);
    expect(leaves(unit)).toEqual([
      [end - 2, 70, 0],
      [end - 1, 71, 0],
    ]);
  });
});

describe('the tables that an unmap covers', () => {
  test.each<[string, [number, number, number][], [number, number], number]>([
    // what is mapped, what is unmapped, tables afterwards
    ['a table in part', [[0, 7, 512]], [0, 511], 4],
    ['a table', [[0, 7, 512]], [0, 512], 3],
    ['one of two tables', [[0, 7, 600]], [0, 600], 4],
    ['a directory of large leaves', [[GIB, GIB + 512, GIB]], [GIB, GIB], 2],
    ['a directory in part', [[GIB, GIB + 512, GIB]], [GIB, GIB - 512], 3],
    ['a directory and its tables', [[GIB, GIB + 1, GIB]], [GIB, GIB], 2],
    ['none, when a large leaf goes whole', [[0, 512, 512]], [0, 1], 3],
    ['a table, then an absent one', [[0, 7, 512]], [0, 1024], 3],
    ['a table with a hole', [[0, 7, 511]], [0, 512], 4],
  ])('%s', (_, ranges, [iova, npage], tables) => {
    const unit = mapped(...ranges);
    unit.domain.unmap(iova, npage);
    expect(unit.table.tablePages).toBe(tables);
  });

  test('are freed by the sync', () => {
    const unit = mapped([0, 7, 1024]);
    const gather = new IotlbGather();
    const counts = counted(unit, () => unit.domain.unmapFast(0, 1024, gather));
    expect(counts).toMatchObject({ iommuTableFrees: 0, cacheTagFlushes: 0 });
    expect(unit.table.tablePages).toBe(5);
    expect(gather.freelist).toHaveLength(2);
    expect(counted(unit, () => unit.domain.iotlbSync(gather))).toMatchObject({
      iommuTableFrees: 2,
      cacheTagFlushes: 1,
    });
    expect(unit.table.tablePages).toBe(3);
    expect(gather.freelist).toEqual([]);
  });

  test('are not freed by unmaps that cover them one part each', () => {
    const unit = mapped([0, 7, 512]);
    unit.domain.unmap(0, 256);
    unit.domain.unmap(256, 256);
    expect(leaves(unit)).toEqual([]);
    expect(unit.table.tablePages).toBe(4);
    expect(counted(unit, () => unit.domain.map(0, 7, 512, RW)).iommuTableAllocs).toBe(0);
  });

  test('are replaced by new ones at the next map', () => {
    const unit = mapped([0, 7, 512]);
    unit.domain.unmap(0, 512);
    expect(counted(unit, () => unit.domain.map(3, 70, 1, RW)).iommuTableAllocs).toBe(1);
    expect(leaves(unit)).toEqual([[3, 70, 0]]);
    expect(unit.domain.iovaToPhys(4)).toBe(0);
  });
});

describe('the gather grows over everything', () => {
  test.each<[string, [number, number][], [number, number]]>([
    [
      'pieces of other sizes',
      [
        [1, 3],
        [4, 4],
        [8, 512],
      ],
      [1, 519],
    ],
    [
      'gaps',
      [
        [1, 3],
        [1000, 5],
        [GIB, 2],
      ],
      [1, GIB + 1],
    ],
    [
      'from above',
      [
        [1000, 5],
        [1, 3],
      ],
      [1, 1004],
    ],
  ])('%s', (_, ranges, [start, end]) => {
    const unit = mapped(...ranges.map(([at, n]) => [at, 2 ** 20 + at + 1, n] as const));
    const gather = new IotlbGather();
    const counts = counted(unit, () => {
      for (const [iova, npage] of ranges)
        expect(unit.domain.unmapFast(iova, npage, gather)).toBe(npage);
    });
    expect(counts).toMatchObject({ iotlbGatherSyncs: 0, cacheTagFlushes: 0 });
    expect(gather).toMatchObject({ start, end });
  });

  test('by what was unmapped, not by what was asked', () => {
    const unit = mapped([512, 1024, 512], [2048, 7, 3]);
    const gather = new IotlbGather();
    unit.domain.unmapFast(512, 1, gather);
    expect(gather).toMatchObject({ start: 512, end: 1023 });
    unit.domain.unmapFast(2048, 100, gather);
    expect(gather).toMatchObject({ start: 512, end: 2050 });
  });
});

test('a contiguous scan walks once per page, over leaves of all sizes', () => {
  const unit = mapped([2 * GIB - 513, 6 * GIB - 513, GIB + 1026]);
  const run = new PhysRun();
  const counts = counted(unit, () => unit.domain.iovaToPhysRun(2 * GIB - 513, 2 * GIB, run));
  expect(run).toEqual({ pfn: 6 * GIB - 513, npage: GIB + 1026 });
  expect(counts).toMatchObject({
    iovaToPhysCalls: GIB + 1026 + 1,
    iovaToPhysLevels: 2 * 4 + 1024 * 3 + GIB * 2 + 4,
  });
});
