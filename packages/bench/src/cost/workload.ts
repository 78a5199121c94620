/**
 * What a measurement measured, as the model can run it: one call on one kernel and memory. Counters
 * are those of a fresh pass, the first since the memory was populated, unless the workload is warm.
 */
import type { CounterValues, PageNumbers } from '@pinfold/base';
import { FOLL, pinUserPagesRemote, unpinUserPages } from '@pinfold/mm';
import { backing as backingOf } from '../backings.ts';
import { contender } from '../contender.ts';
import { layout as layoutOf } from '../layouts.ts';
import { DEFAULT_IOMMU, MemDmaMap } from '../workloads/mem-dma-map.ts';
import { unitsOf, type CostFacts, type CostUnits } from './classes.ts';
import { extrapolatedCounters } from './extrapolate.ts';
import { histogramLayout, type RunHistogram } from './histogram.ts';
import units from './units.json' with { type: 'json' };

/** A call that is timed. */
export type CostCall = 'map' | 'unmap' | 'gup' | 'put';

/** What is timed. */
export interface CostWorkload {
  /** The call. */
  readonly call: CostCall;
  /** Memory that it is done to, in bytes. */
  readonly bytes: number;
  /** A kernel or a pin algorithm, as on the command line. */
  readonly kernel: string;
  /** Backing by name. */
  readonly backing: string;
  /** Tag of the layout. */
  readonly layout: string;
  /** Whether this pass is not the first since the memory was populated: nothing is dirtied anew. */
  readonly warm: boolean;
  /** Contiguous runs of 4 KiB pages, in place of the layout; default none. */
  readonly runs?: RunHistogram | null;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string;
  /** What is no counter. */
  readonly facts: CostFacts;
}

/** Pages of one GUP call: what VFIO's page array holds, and what `gup_test -n 512` asks for. */
const BATCH = 512;

const cache = new Map<string, CounterValues>();

/**
 * The counters of a workload as a full run counts them, however long it takes.
 *
 * @param workload the workload
 * @returns all counters of its call
 * @throws {InputError} when its kernel, backing or layout is not known
 */
export function countersOfFullRun(workload: CostWorkload): CounterValues {
  return runOnce(workload);
}

/**
 * The counters of a workload; large ones are extrapolated.
 *
 * @param workload the workload
 * @returns all counters of its call
 * @throws {InputError} when its kernel, backing or layout is not known
 */
export function countersOf(workload: CostWorkload): CounterValues {
  const { bytes, iommu } = workload;
  const { order } = backingOf(workload.backing);
  const run = (size: number, iovaOffset: number): CounterValues =>
    runOnce({ ...workload, bytes: size }, iovaOffset);
  return extrapolatedCounters({ bytes, order, iommu, run });
}

/**
 * The units of work of a workload, as the model counts them now.
 *
 * @param workload the workload
 * @returns units by class
 * @throws {InputError} when its kernel, backing or layout is not known
 */
export function countedUnits(workload: CostWorkload): CostUnits {
  return unitsOf(countersOf(workload), workload.facts);
}

/**
 * The units of work of a workload: those that were counted before, of published measurements, are
 * kept in `units.json`, because fitting a profile would take seconds else.
 *
 * @param workload the workload
 * @returns units by class
 * @throws {InputError} when its kernel, backing or layout is not known
 */
export function workloadUnits(workload: CostWorkload): CostUnits {
  return keptUnits[keyOf(workload)] ?? countedUnits(workload);
}

/**
 * The name under which the units of a workload are kept.
 *
 * @param workload the workload
 * @returns its fields as text
 */
export function keyOf(workload: CostWorkload): string {
  const { call, kernel, backing, layout, bytes, warm, facts } = workload;
  const { memory, writeNotify, thpStepsByPage, longtermReadsPages, hvo } = facts;
  const flags = [warm, writeNotify, thpStepsByPage, longtermReadsPages, hvo].map(Number).join('');
  const { pagesCleared, starts } = facts;
  const key = [call, kernel, backing, layout, bytes, memory, flags, pagesCleared, starts];
  return [...key, ...(isDefaultIommu(workload) ? [] : [workload.iommu])].join(' ');
}

function isDefaultIommu({ iommu = DEFAULT_IOMMU }: CostWorkload): boolean {
  return iommu === DEFAULT_IOMMU;
}

const keptUnits: Readonly<Record<string, CostUnits>> = units;

/** Runs a workload once; its other call is kept too. */
function runOnce(workload: CostWorkload, iovaOffset = 0): CounterValues {
  const { call, kernel, backing, layout, bytes, warm, runs = null, iommu } = workload;
  const key = (of: CostCall): string =>
    [of, kernel, backing, layout, bytes, warm, iommu, iovaOffset, JSON.stringify(runs)].join(' ');
  const found = cache.get(key(call));
  if (found) return found;
  const { kernel: release, pinAlgorithm } = contender(kernel);
  const machine = new MemDmaMap({
    kernel: release,
    pinAlgorithm,
    backing: backingOf(backing),
    layout: runs === null ? layoutOf(layout) : histogramLayout(runs),
    ...{ bytes, iommu, iovaOffset },
  });
  const calls = call === 'map' || call === 'unmap' ? vfioCalls(machine) : gupCalls(machine);
  if (warm) for (const [, run] of calls) run();
  for (const [name, run] of calls) {
    const before = machine.counters.snapshot();
    run();
    cache.set(key(name), machine.counters.since(before));
  }
  return cache.get(key(call)) as CounterValues;
}

type Calls = readonly (readonly [CostCall, () => void])[];

function vfioCalls(machine: MemDmaMap): Calls {
  return [
    ['map', () => machine.map()],
    ['unmap', () => machine.unmap()],
  ];
}

/** gup_test: PIN_LONGTERM_BENCHMARK, batch by batch, and the put of the whole array. */
function gupCalls({ mm, vaddr, npage }: MemDmaMap): Calls {
  const pages: PageNumbers = new Float64Array(npage);
  const get = (): void => {
    for (let at = 0; at < npage; at += BATCH) {
      const want = Math.min(BATCH, npage - at);
      const flags = FOLL.WRITE | FOLL.LONGTERM;
      pinUserPagesRemote(mm, vaddr + at, want, flags, pages.subarray(at, at + want));
    }
  };
  return [
    ['gup', get],
    ['put', () => unpinUserPages(mm.memory, pages, npage)],
  ];
}
