import { COUNTER_NAMES, InputError, type CounterValues } from '@pinfold/base';
import { sum } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { backing, backings } from './backings.ts';
import { benchMemDmaMap, checkSize, type BenchRow, type BenchSpec } from './bench.ts';
import { footprint } from './footprint.ts';
import { layoutOf, type LayoutTag } from './layouts.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const clock = (): number => 0;

const base: BenchSpec = {
  bytes: 64 * MIB,
  backings: [backing('thp')],
  kernels: ['6.16', '6.18'],
  layout: 'contiguous',
  repeat: 2,
};

/** What the reference counts (strategies.md, (f) and (g)) depends on. */
interface Case {
  /** Pages. */
  readonly n: number;
  /** Batches of 512 pages. */
  readonly b: number;
  /** Physically contiguous runs. */
  readonly c: number;
  /** Runs inside batches. */
  readonly r: number;
  /** Folios. */
  readonly f: number;
}

function caseOf({ bytes, layoutTag }: BenchRow): Case {
  const n = bytes / 4096;
  const b = n / 512;
  const huge = n / (layoutTag === 'H1' ? 2 ** 18 : 512);
  const c = layoutTag === 'S4' ? n : layoutTag === 'T4' ? 1 : huge;
  return { n, b, c, r: layoutTag === 'S4' ? n : b, f: layoutTag.startsWith('H') ? huge : n };
}

/** Formulas of both kernels' operations, by row. */
function expected(row: BenchRow): Partial<CounterValues> {
  const { n, b, c, r, f } = caseOf(row);
  const large = f < n;
  const series = row.kernel.startsWith('6.18');
  if (row.op === 'map') {
    return {
      ...{ gupCalls: b, pageFills: n, migrateChecks: n, gupSteps: large ? b : n },
      ...{ folioGrabs: large ? 2 * b : n, grabAtomics: large ? 4 * b : n },
      ...{ pinPagesRemoteCalls: c, iommuMapCalls: c, accountingUpdates: c },
      pfnCompares: (series ? r : n) + c - 1,
      pageCompares: series ? n - b : 0,
      reservedTests: (series ? r : n) + c,
      vpfnLookups: series ? r : n,
      limitTests: series ? r : n,
      ...leaves(row.layoutTag, n),
      ...{ iovaToPhysCalls: 0, iommuUnmapCalls: 0, putCalls: 0, dirtyTests: 0, unpinCalls: 0 },
    };
  }
  return {
    ...{ iovaToPhysCalls: n + c - 1, iommuUnmapCalls: c, regionAllocs: c },
    iotlbSyncs: Math.ceil(c / 512),
    reservedTests: series ? 0 : n,
    vpfnLookups: series ? c : n,
    putCalls: series ? f : n,
    putAtomics: (series ? f : n) * (large ? 2 : 1),
    unpinCalls: series ? c : n,
    dirtyTests: series ? f : n,
    ...{ dirtyLocks: 0, accountingUpdates: 1, gupCalls: 0, iommuMapCalls: 0, pageFills: 0 },
  };
}

function leaves(tag: LayoutTag, n: number): Partial<CounterValues> {
  return {
    iommuLeaves4k: tag === 'S4' ? n : 0,
    iommuLeaves2m: tag === 'T4' || tag === 'H2' ? n / 512 : 0,
    iommuLeaves1g: tag === 'H1' ? n / 2 ** 18 : 0,
  };
}

describe.each([
  { name: 'thp', layout: 'contiguous', bytes: 64 * MIB, tag: 'H2' },
  { name: 'thp', layout: 'contiguous', bytes: 6 * MIB, tag: 'H2' },
  { name: '4k', layout: 'contiguous', bytes: 64 * MIB, tag: 'T4' },
  { name: '4k', layout: 'scattered', bytes: 64 * MIB, tag: 'S4' },
  { name: 'hugetlb-2m', layout: 'scattered', bytes: 64 * MIB, tag: 'H2' },
  { name: 'hugetlb-1g', layout: 'contiguous', bytes: 3 * GIB, tag: 'H1' },
] as const)('$bytes bytes of $name, $layout', ({ name, layout, bytes, tag }) => {
  const { rows } = benchMemDmaMap({ ...base, bytes, layout, backings: [backing(name)] }, { clock });

  it('gives a row per operation and kernel', () => {
    expect(rows).toMatchObject([
      { op: 'map', kernel: '6.16', backing: name, bytes, layout, layoutTag: tag },
      { op: 'map', kernel: '6.18', backing: name, bytes, layout, layoutTag: tag },
      { op: 'unmap', kernel: '6.16', backing: name, bytes, layout, layoutTag: tag },
      { op: 'unmap', kernel: '6.18', backing: name, bytes, layout, layoutTag: tag },
    ]);
  });

  it('counts what the formulas of the reference say', () => {
    for (const row of rows) expect(row.counters).toMatchObject(expected(row));
  });

  it('reports every counter, also those that are 0', () => {
    for (const row of rows) {
      expect(Object.keys(row.counters)).toEqual(COUNTER_NAMES);
      for (const value of Object.values(row.counters)) expect(value).toBeGreaterThanOrEqual(0);
    }
  });
});

describe('benchMemDmaMap', () => {
  it('keeps the names of point releases, and uses the rules of their series', () => {
    const point = benchMemDmaMap({ ...base, kernels: ['6.18.15'] }, { clock }).rows;
    const series = benchMemDmaMap({ ...base, kernels: ['6.18'] }, { clock }).rows;
    expect(point.map(({ kernel }) => kernel)).toEqual(['6.18.15', '6.18.15']);
    expect(point.map(({ counters }) => counters)).toEqual(series.map(({ counters }) => counters));
  });

  it('shows published seconds for 16 GiB only', () => {
    const full = { ...base, bytes: 16 * GIB, backings: [backing('hugetlb-1g')], repeat: 1 };
    const seconds = (spec: BenchSpec): (number | undefined)[] =>
      benchMemDmaMap(spec, { clock }).rows.map(({ published }) => published?.seconds);
    expect(seconds(full)).toEqual([0.071, 0.011, 0.103, 0.023]);
    expect(seconds({ ...full, bytes: 8 * GIB })).toEqual(Array(4).fill(undefined));
  });

  it('gives the rows by backing, operation and kernel', () => {
    const { rows } = benchMemDmaMap(
      { ...base, backings: [backing('4k'), backing('thp')] },
      { clock },
    );
    expect(rows.map(({ backing: name, op, kernel }) => `${name} ${op} ${kernel}`)).toEqual([
      ...['4k map 6.16', '4k map 6.18', '4k unmap 6.16', '4k unmap 6.18'],
      ...['thp map 6.16', 'thp map 6.18', 'thp unmap 6.16', 'thp unmap 6.18'],
    ]);
  });

  it('gives the time of every repetition', () => {
    let now = 0;
    const { rows } = benchMemDmaMap({ ...base, repeat: 3 }, { clock: () => now++ });
    for (const row of rows) {
      expect(row.repetitionMs).toEqual([1, 1, 1]);
      expect(row.modelMs).toEqual({ min: 1, median: 1 });
    }
  });

  it('tells where it stands', () => {
    const steps: string[] = [];
    benchMemDmaMap(base, { clock, onProgress: (step) => steps.push(step) });
    expect(steps).toEqual([
      ...['thp, 6.16: populating memory', 'thp, 6.18: populating memory'],
      ...['repetition 1 of 2', 'repetition 2 of 2'],
    ]);
  });

  it('refuses kernels that are not modelled', () => {
    expect(() => benchMemDmaMap({ ...base, kernels: ['2.6'] }, { clock })).toThrow(InputError);
  });
});

describe('checkSize', () => {
  it('checks every backing', () => {
    expect(() => checkSize({ ...base, backings }, Infinity, '--size')).toThrow(
      '--size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G, got 64M',
    );
  });

  it('adds up all mappings, which exist side by side', () => {
    const spec = { ...base, bytes: GIB, backings, kernels: ['6.16'] };
    const needed = sum(backings.map((each) => footprint(GIB, each, layoutOf(each, 'contiguous'))));
    expect(() => checkSize(spec, needed)).not.toThrow();
    expect(() => checkSize({ ...spec, kernels: ['6.16', '6.18'] }, needed)).toThrow(
      /^size: expected what fits into .* got 1G of thp, 4k, hugetlb-2m, hugetlb-1g, for which/,
    );
  });
});
