/**
 * Instructions instead of seconds: the costs of a recorded kernel, fitted to what QEMU's `icount`
 * counted. The recordings have no layout, so the share of small folios that begin a contiguous chunk is
 * one unknown of each scenario with such folios: it is taken from the map, and decides the unmap.
 *
 * @source recordings `icount`; reference cost.md §5
 */
import { PMD_ORDER, PUD_ORDER } from '@pinfold/base';
import { kernelVersions } from '@pinfold/kernels';
import { backing } from '../backings.ts';
import { contender } from '../contender.ts';
import { layouts, type Layout } from '../layouts.ts';
import { ops, type Op } from '../measure.ts';
import { MemDmaMap } from '../workloads/mem-dma-map.ts';
import counted from '../published/instructions.json' with { type: 'json' };
import {
  COST_CLASSES,
  COST_CLASS_NAMES,
  PRIOR_SHARE,
  unitsOf,
  type CostClass,
  type CostFacts,
  type CostUnits,
} from './classes.ts';
import { kernelEra } from './eras.ts';
import { fit, predict, type ClassCosts, type Posterior, type PredictedSeconds } from './fit.ts';
import { histogramLayout } from './histogram.ts';

/** Instructions of one call, as a recording counted them: the least of its repetitions. */
export interface CountedInstructions {
  /** Kernel, such as `6.16.12`. */
  readonly kernel: string;
  /** Scenario, such as `n-2m`. */
  readonly scenario: string;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** The call. */
  readonly op: 'map' | 'unmap';
  /** Instructions. */
  readonly instructions: number;
}

/** All counted instructions. */
const countedInstructions: readonly CountedInstructions[] = counted.map((row) => ({
  ...row,
  op: row.op === 'map' ? 'map' : 'unmap',
}));

/** Scenarios that are fitted, by name: every class occurs in one of them. */
const FITTED_SCENARIOS: readonly string[] = [
  'n-1g',
  'n-2m-incongruent',
  'n-4k',
  'n-mthp-0016k',
  'n-shuffled64m',
  'n-one-page',
];

/** Drift of counted instructions: almost none. */
const DRIFT = 0.01;

/** What a scenario maps. */
interface Mapped {
  readonly backing: string;
  readonly order: number;
  /** Frames as one run as far as folios allow. */
  readonly layout: Layout;
  /** The same with no two folios adjacent, where it is not known how they lie; else null. */
  readonly scattered: Layout | null;
  /** Pages by which the I/O address is not congruent with the frames. */
  readonly iovaOffset: number;
}

function mappedBy(scenario: string): Mapped | null {
  const iovaOffset = scenario.endsWith('-incongruent') ? 1 : 0;
  const name = scenario.replace('-incongruent', '');
  const of = (
    kind: string,
    order: number,
    layout: Layout,
    scattered: Layout | null = null,
  ): Mapped => ({ backing: kind, order, layout, scattered, iovaOffset });
  const mthp = /^n-mthp-0*(\d+)k$/.exec(name);
  if (mthp) {
    const order = Math.log2(Number(mthp[1]) / 4);
    const apart = histogramLayout([{ npage: 2 ** order, count: 1 }], order);
    return of('4k', order, histogramLayout([{ npage: 2 ** 18, count: 1 }], order), apart);
  }
  switch (name) {
    case 'n-1g':
      return of('hugetlb-1g', PUD_ORDER, layouts['H1-adjacent']);
    case 'n-2m':
      return of('hugetlb-2m', PMD_ORDER, layouts.H2);
    case 'n-thp':
      return of('thp', PMD_ORDER, layouts.H2);
    case 'n-4k':
    case 'n-one-page':
      return of('4k', 0, layouts.T4, layouts.S4);
    case 'n-shuffled64m':
      return of('4k', 0, layouts.S4);
    default:
      return null;
  }
}

/** The units of both calls of a scenario, for the layouts between which its own lies. */
interface ScenarioUnits {
  readonly together: Readonly<Record<Op, CostUnits>>;
  readonly apart: Readonly<Record<Op, CostUnits>> | null;
}

function scenarioUnits(kernel: string, scenario: string, bytes: number): ScenarioUnits | null {
  const mapped = mappedBy(scenario);
  if (mapped === null) return null;
  const { layout, scattered } = mapped;
  return {
    together: warmUnits(kernel, mapped, layout, bytes),
    apart: scattered === null ? null : warmUnits(kernel, mapped, scattered, bytes),
  };
}

/** The units of a second pass: the recordings are warm. */
function warmUnits(
  name: string,
  { backing: kind, order, iovaOffset }: Mapped,
  layout: Layout,
  bytes: number,
): Record<Op, CostUnits> {
  const { kernel, pinAlgorithm } = contender(name);
  const machine = new MemDmaMap({
    ...{ kernel, pinAlgorithm, layout, bytes, iovaOffset },
    backing: { ...backing(kind), order },
  });
  machine.map();
  machine.unmap();
  const { thpStepsByPage, longtermReadsPages } = kernelEra(`v${name}`);
  const facts: CostFacts = {
    memory: kind.startsWith('hugetlb') ? 'hugetlb' : 'anon',
    ...{ writeNotify: false, thpStepsByPage, longtermReadsPages },
    ...{ hvo: false, pagesCleared: 0, starts: 0 },
  };
  const [map, unmap] = ops.map((op) => {
    const before = machine.counters.snapshot();
    machine[op]();
    return unitsOf(machine.counters.since(before), facts);
  });
  return { map, unmap };
}

/** Units of a layout of which a share lies apart. */
function mixed(units: ScenarioUnits, op: Op, share: number): CostUnits {
  const { together, apart } = units;
  if (apart === null || share === 0) return together[op];
  const parts: Partial<Record<CostClass, number>> = {};
  for (const name of COST_CLASS_NAMES) {
    const [a, b] = [together[op][name] ?? 0, apart[op][name] ?? 0];
    if (a !== 0 || b !== 0) parts[name] = a + share * (b - a);
  }
  return parts;
}

/** A counted call beside its prediction. */
export interface PredictedInstructions {
  /** The call. */
  readonly row: CountedInstructions;
  /** Whether it was fitted. */
  readonly fitted: boolean;
  /** Whether the layout is unknown and its map has decided about it. */
  readonly unknownLayout: boolean;
  /** Instructions, with their 90 % interval. */
  readonly predicted: PredictedSeconds;
}

/** The profile of a kernel in instructions. */
export interface InstructionProfile {
  /** Its name: `icount-6.16.12`. */
  readonly name: string;
  /** Its costs: instructions in place of nanoseconds. */
  readonly posterior: Posterior;
  /** All calls that have a workload. */
  readonly rows: readonly PredictedInstructions[];
}

/** Kernels of which instructions were counted and that are modelled. */
export const instructionKernels: readonly string[] = [
  ...new Set(countedInstructions.map(({ kernel }) => kernel)),
].filter((kernel) => kernelVersions.some(({ series }) => kernel.startsWith(`${series}.`)));

/**
 * Fits the costs of a kernel in instructions, to the scenarios of {@link FITTED_SCENARIOS}.
 *
 * @param kernel the kernel, such as `6.16.12`
 * @returns its profile, with all its calls predicted
 */
export function instructionProfile(kernel: string): InstructionProfile {
  const calls = countedInstructions
    .filter((row) => row.kernel === kernel)
    .flatMap((row): Call[] => {
      const found = calledBefore(row) ?? scenarioUnits(kernel, row.scenario, row.bytes);
      if (found === null) return [];
      known.set(keyOf(row), found);
      return [{ row, units: found }];
    });
  const shares = new Map<string, number>();
  const unknown = calls.filter(({ units }) => units.apart !== null);
  for (const { row } of unknown) shares.set(keyOf(row), FIRST_SHARE);
  let posterior = fitCalls(calls, shares);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { row } of unknown) {
      const key = keyOf(row);
      // What is fitted may tell its layout by both calls; what is predicted, by its map alone.
      const told = unknown.filter(
        (call) => keyOf(call.row) === key && (call.row.op === 'map' || isFitted(call.row)),
      );
      shares.set(key, shareOf(told, posterior));
    }
    posterior = fitCalls(calls, shares);
  }
  const rows = calls.map(({ row, units }) => {
    const share = shares.get(keyOf(row)) ?? 0;
    const { seconds, low, high } = predict(posterior, mixed(units, row.op, share));
    const predicted = { seconds: seconds * 1e9, low: low * 1e9, high: high * 1e9 };
    const fitted = isFitted(row);
    return { row, fitted, unknownLayout: units.apart !== null, predicted };
  });
  return { name: `icount-${kernel}`, posterior, rows };
}

interface Call {
  readonly row: CountedInstructions;
  readonly units: ScenarioUnits;
}

/** Rounds of fitting costs and shares in turn. */
const ROUNDS = 40;

/** Share that fitting begins with. */
const FIRST_SHARE = 0.5;

function isFitted({ scenario }: CountedInstructions): boolean {
  return FITTED_SCENARIOS.includes(scenario);
}

const known = new Map<string, ScenarioUnits>();

function calledBefore(row: CountedInstructions): ScenarioUnits | null {
  return known.get(keyOf(row)) ?? null;
}

/** A scenario of a kernel: its map and its unmap have the same layout. */
function keyOf({ kernel, scenario, bytes }: CountedInstructions): string {
  return `${kernel} ${scenario} ${bytes}`;
}

function fitCalls(calls: readonly Call[], shares: ReadonlyMap<string, number>): Posterior {
  const rows = calls
    .filter(({ row }) => isFitted(row))
    .map(({ row, units }) => ({
      units: mixed(units, row.op, shares.get(keyOf(row)) ?? 0),
      seconds: row.instructions / 1e9,
      rounding: 0,
    }));
  return fit(rows, instructionPriors(), DRIFT, HUGE_STEPS);
}

/** The share of folios that begin a chunk with which calls of one layout are predicted best. */
function shareOf(calls: readonly Call[], posterior: Posterior): number {
  let [above, below] = [0, 0];
  for (const { row, units } of calls) {
    const at = (share: number): number =>
      (predict(posterior, mixed(units, row.op, share)).seconds * 1e9) / row.instructions;
    const [together, apart] = [at(0), at(1)];
    // Least squares of relative errors, which are linear in the share.
    above += (1 - together) * (apart - together);
    below += (apart - together) ** 2;
  }
  // Of a single page both layouts are one.
  return below === 0 ? 0 : Math.min(1, Math.max(0, above / below));
}

/** A step at a huge leaf is the same code for both memories; how long it takes is not. */
const HUGE_STEPS: readonly CostClass[] = ['stepThp', 'stepHugetlb'];

/** Instructions by class; an atomic and a line are what they are besides: nothing. */
function instructionPriors(): ClassCosts {
  return Object.fromEntries(
    COST_CLASS_NAMES.map((name) => {
      const mean = COST_CLASSES[name].instructions;
      return [name, { mean, sd: PRIOR_SHARE * mean }];
    }),
  );
}
