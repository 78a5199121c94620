import { COUNTER_NAMES } from '@pinfold/base';
import { backing, layouts, MemDmaMap } from '@pinfold/bench';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { folioOrderOf } from '@pinfold/mm';
import { pinAlgorithm, pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, test } from 'vitest';
import { bandsOf, focusOf, stateOf } from './bands.ts';
import { leafOrderAt, pfnOf } from './memory-shape.ts';
import { Recorder } from './recorder.ts';
import { Recording } from './recording.ts';
import { readState, type Settings } from './settings.ts';
import {
  Col,
  FUNCTIONS,
  ROW,
  STATE_COLUMNS,
  Step,
  isCall,
  Kind,
  placeOf,
  progressOf,
  stepOf,
} from './steps.ts';

function settings(query: string): Settings {
  return readState(new URLSearchParams(query)).settings;
}

/** A machine as a recording makes one, but without anybody who watches. */
function plainMachine(of: Settings, algorithm: string): MemDmaMap {
  return new MemDmaMap({
    kernel: kernelVersion(of.kernel),
    pinAlgorithm: pinAlgorithm(algorithm),
    backing: backing(of.backing),
    layout: layouts[of.layout],
    bytes: of.bytes,
  });
}

const MEMORIES = [
  'backing=4k&layout=S4&size=64K',
  'backing=4k&layout=T4&size=3M',
  'backing=4k&layout=T4&size=12K',
  'backing=thp&layout=H2&size=4M',
  'backing=hugetlb-2m&layout=H2-adjacent&size=4M',
];

describe.each(MEMORIES)('%s', (query) => {
  test.each(pinAlgorithms)(
    '$name: the counters end as those of a run that nobody watches',
    (of) => {
      const chosen = settings(query);
      const { steps, firstUnmapStep } = new Recording(chosen, of.name).overview();
      const log = new Recording(chosen, of.name).window(0, steps + 1);
      expect(log.indices).toHaveLength(steps);
      const machine = plainMachine(chosen, of.name);
      machine.map();
      const countersAt = (index: number): number[] => [...stepOf(log, index).counters];
      expect(countersAt(firstUnmapStep - 1)).toEqual([...machine.counters.values]);
      machine.unmap();
      expect(countersAt(steps - 1)).toEqual([...machine.counters.values]);
    },
  );
});

describe.each(MEMORIES)('%s, step by step', (query) => {
  test.each(pinAlgorithms)('$name: what is drawn is what the machine holds', (algorithm) => {
    const chosen = settings(query);
    const { shape } = new Recording(chosen, algorithm.name).overview();
    const { npage, folioOrder, folioPfns } = shape;
    /** Of each step: pages that hold a pin, and pages that the IOMMU maps. */
    const pinned: number[] = [];
    const reachable: number[] = [];
    /** Depth of the call that changes the IOMMU's table; calls in it are deeper. */
    let inside = Infinity;
    const pages = Array.from({ length: npage }, (_, i) => i);
    const recorder = new Recorder({
      wantsCounters(index) {
        const { memmap } = machine.mm.memory;
        const order = folioOrderOf(memmap, folioPfns[0]);
        expect(order).toBe(folioOrder);
        pinned[index] = pinsOf(machine, folioPfns);
        reachable[index] = [...machine.leaves()].reduce((sum, leaf) => sum + 2 ** leaf.order, 0);
        return true;
      },
      done(index, row) {
        const bands = bandsOf(row, npage);
        expect(bands.at(-1)?.end).toBe(npage);
        const states = pages.map((page) => stateOf(bands, page));
        const unpinned = states.filter((state) => state === 'idle' || state === 'released');
        expect(npage - unpinned.length).toBe(pinned[index]);
        expect(focusOf(new Step(index, row), npage)).toBeLessThan(npage);
        expectReturns(row);
        const mapped = states.filter((state) => state === 'mapped').length;
        // Inside of iommu_map and iommu_unmap_fast, some leaves are written and not all.
        const changes = CHANGES.has(FUNCTIONS[row[Col.fn]]);
        if (changes && row[Col.kind] === Kind.exit) inside = Infinity;
        if (row[Col.depth] <= inside) expect(mapped).toBe(reachable[index]);
        if (changes && row[Col.kind] === Kind.enter) inside = row[Col.depth];
      },
    });
    const machine = new MemDmaMap({
      kernel: kernelVersion(chosen.kernel),
      pinAlgorithm: recorder.watch(algorithm),
      backing: backing(chosen.backing),
      layout: layouts[chosen.layout],
      bytes: chosen.bytes,
    });
    recorder.record(machine);
    expect(pinned.length).toBeGreaterThan(20);
  });
});

/** Functions during which the IOMMU's table changes. */
const CHANGES = new Set(['iommu_map', 'iommu_unmap_fast', 'iommu_unmap']);

/** What the row says of the chunk, the batch and the regions is what the kernel's calls say. */
function expectReturns(row: Float64Array): void {
  const fn = FUNCTIONS[row[Col.fn]];
  const [kind, ret] = [row[Col.kind], row[Col.ret]];
  if (fn === 'vfio_pin_pages_remote' && kind === Kind.exit) expect(row[Col.chunkPinned]).toBe(ret);
  if (fn === 'vaddr_get_pfns' && kind === Kind.exit) expect(row[Col.batchSize]).toBe(ret);
  if (fn === 'vfio_sync_unpin' && kind === Kind.enter) expect(row[Col.regions]).toBe(row[Col.a]);
  if (fn === 'vfio_sync_unpin' && kind === Kind.exit) expect(row[Col.regions]).toBe(0);
}

/** Pins of a machine's folios, as their counts say: 1024 references each, or a count of their own. */
function pinsOf({ mm }: MemDmaMap, folioPfns: Uint32Array): number {
  const { memmap } = mm.memory;
  return folioPfns.reduce((sum, pfn) => {
    const entry = memmap.headEntryOf(pfn);
    const isLarge = folioOrderOf(memmap, pfn) > 0;
    return sum + (isLarge ? memmap.pincount[entry] : Math.floor(memmap.refcount[entry] / 1024));
  }, 0);
}

describe('the batch and the chunk', () => {
  test.each(['4k', 'thp'])('%s: the entries of the batch are the next pages', (name) => {
    const chosen = settings(`backing=${name}&size=4M`);
    const { steps, shape } = new Recording(chosen, 'batched').overview();
    const { indices, rows } = new Recording(chosen, 'batched').window(0, steps);
    let takes = 0;
    for (let i = 0; i < indices.length; i++) {
      const row = rows.subarray(i * ROW, (i + 1) * ROW);
      const next = row[Col.chunkStart] + row[Col.chunkPinned];
      if (row[Col.phase] === 1) break;
      // What is left in the batch lies behind the chunk, in pages that are pinned.
      expect(next + row[Col.batchSize]).toBeLessThanOrEqual(shape.npage);
      if (row[Col.pfnBase] === 0 || row[Col.chunkPinned] === 0) continue;
      takes++;
      const last = pfnOf(shape.folioPfns, shape.folioOrder, next - 1);
      expect(row[Col.pfnBase] + row[Col.chunkPinned] - 1).toBe(last);
    }
    expect(takes).toBeGreaterThan(2);
  });
});

describe('the shape', () => {
  test.each([
    ['backing=4k&layout=T4&size=4M', 9],
    ['backing=4k&layout=S4&size=4M', 0],
    ['backing=hugetlb-1g&size=2G', 18],
  ])('%s is mapped by leaves of order %i', (query, order) => {
    const { shape } = new Recording(settings(query), 'batched').overview();
    for (const page of [0, 1, shape.npage / 2, shape.npage - 1])
      expect(leafOrderAt(shape.leafStarts, shape.leafOrders, page)).toBe(order);
  });
});

describe('going through many steps', () => {
  const chosen = settings('backing=4k&layout=S4&size=4M');
  const recording = new Recording(chosen, 'batched');
  const overview = recording.overview();
  const all = recording.window(0, overview.steps);

  test('a window in the middle is a piece of all steps', () => {
    const from = Math.floor(overview.steps / 2);
    const { indices, rows } = recording.window(from, 100);
    expect([...indices]).toEqual(Array.from({ length: 100 }, (_, i) => from + i));
    expect(rows).toEqual(all.rows.slice(from * ROW, (from + 100) * ROW));
  });

  test('samples are steps, evenly apart', () => {
    const { indices, rows } = overview.samples;
    const apart = indices[1];
    expect(indices.length).toBeGreaterThan(1000);
    expect(indices.length).toBeLessThanOrEqual(2048);
    for (let i = 0; i < indices.length; i++) {
      expect(indices[i]).toBe(i * apart);
      const row = all.rows.subarray(indices[i] * ROW, (indices[i] + 1) * ROW);
      expect(rows.subarray(i * ROW, (i + 1) * ROW)).toEqual(row);
    }
  });

  test('functions are found forwards and backwards', () => {
    const calls = (fn: number): number[] =>
      [...all.indices].filter(
        (i) => isCall(all.rows.subarray(i * ROW)) && all.rows[i * ROW + Col.fn] === fn,
      );
    for (const name of ['iommu_map', 'vaddr_get_pfns', 'vfio_sync_unpin'] as const) {
      const fn = FUNCTIONS.indexOf(name);
      const at = calls(fn);
      expect(overview.calls[fn]).toBe(at.length);
      expect(recording.find(fn, 0, true)).toBe(at[0]);
      expect(recording.find(fn, at[0], true)).toBe(at[1] ?? -1);
      expect(recording.find(fn, overview.steps, false)).toBe(at.at(-1));
      expect(recording.find(fn, at[0], false)).toBe(-1);
    }
  });

  test.each(pinAlgorithms)('$name never goes back', (of) => {
    const other = new Recording(chosen, of.name);
    const { steps } = other.overview();
    const { rows, indices } = other.window(0, steps);
    const progress = [...indices].map((i) => progressOf(rows.subarray(i * ROW), 1024));
    for (let i = 1; i < steps; i++) expect(progress[i]).toBeGreaterThanOrEqual(progress[i - 1]);
  });
});

describe('kernels', () => {
  test.each(kernelVersions)('$series: its own algorithm is the default', ({ series, type1 }) => {
    const overview = new Recording(settings(`kernel=${series}`), 'kernel').overview();
    expect(overview.algorithm).toBe(type1.pinAlgorithm.name);
    expect(overview.calls[FUNCTIONS.indexOf('iommu_map')]).toBe(8);
  });
});

test('places in a log', () => {
  const log = { indices: Float64Array.of(3, 5, 9), rows: new Float64Array(3 * ROW) };
  expect([2, 3, 4, 5, 8, 9, 99].map((index) => placeOf(log, index))).toEqual([
    -1, 0, 0, 1, 1, 2, 2,
  ]);
  expect(ROW - STATE_COLUMNS).toBe(COUNTER_NAMES.length);
});
