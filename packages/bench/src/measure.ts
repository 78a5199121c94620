/**
 * Measuring workloads side by side: in every round each of them maps and unmaps once, so that a
 * machine that gets slower meanwhile does so for all of them.
 */
import {
  COUNTER_NAMES,
  ModelBug,
  type CounterName,
  type CounterValues,
  type Counters,
} from '@pinfold/base';
import { median, min } from 'simple-statistics';

/** Gives the time in milliseconds, from any origin. */
export type Clock = () => number;

/** What is measured: the two calls of a mapping's life. */
export type Op = 'map' | 'unmap';

/** Both, in the order in which they are made. */
export const ops: readonly Op[] = ['map', 'unmap'];

/** Something that can be mapped and unmapped again and again. */
export interface Workload {
  /** The machine's operation counters. */
  readonly counters: Counters;
  /** Maps everything. */
  map(): void;
  /** Unmaps everything. */
  unmap(): void;
  /** Throws if anything is left of a mapping. */
  checkReleased(): void;
}

/** What was measured of one operation of one workload. */
export interface OpMeasurement {
  /** Time that the model took, in milliseconds: never that of a kernel. */
  readonly modelMs: {
    /** Of the fastest repetition. */
    readonly min: number;
    /** Of the median repetition. */
    readonly median: number;
  };
  /** Milliseconds of every repetition. Those of several workloads were made in turn. */
  readonly repetitionMs: readonly number[];
  /** All counters, of the last repetition. */
  readonly counters: CounterValues;
}

/** What was measured of one workload. */
export type Measurement = Readonly<Record<Op, OpMeasurement>>;

/** How to measure. */
export interface MeasureOptions {
  /** Repetitions, at least 1. */
  readonly repeat: number;
  /** The clock. */
  readonly clock: Clock;
  /**
   * Milliseconds for which each workload runs unmeasured before the first round, once at least, so
   * that what is measured is compiled code; default 0: not at all.
   */
  readonly warmUpMs?: number;
  /** Called before every round with its number, from 0. */
  readonly onRound?: (round: number) => void;
  /** What is thrown in place of an error of a workload, which has this place among them. */
  readonly failureOf?: (error: unknown, index: number) => unknown;
}

/**
 * Counters that may differ between the first repetition and later ones: pages are clean and page
 * tables absent only once.
 */
const SETTLING: readonly CounterName[] = [
  'dirtyLocks',
  'dirtyLocksLarge',
  'iommuTableAllocs',
  'iommuTableFrees',
];

/**
 * Measures workloads side by side.
 *
 * @param workloads the workloads
 * @param options repetitions and clock
 * @returns one measurement per workload, in their order
 * @throws {ModelBug} when two repetitions counted different work, or something was left mapped
 */
export function measure(
  workloads: readonly Workload[],
  { repeat, clock, warmUpMs = 0, onRound, failureOf = (error) => error }: MeasureOptions,
): Measurement[] {
  const each = (run: (workload: Workload, index: number) => void): void => {
    workloads.forEach((workload, i) => {
      try {
        run(workload, i);
      } catch (error) {
        throw failureOf(error, i);
      }
    });
  };
  each((workload) => warmUp(workload, clock, warmUpMs));
  const series = workloads.map(() => ({ map: new OpSeries('map'), unmap: new OpSeries('unmap') }));
  for (let round = 0; round < repeat; round++) {
    onRound?.(round);
    each((workload, i) => {
      for (const op of ops) series[i][op].run(workload, clock);
      workload.checkReleased();
    });
  }
  return series.map(({ map, unmap }) => ({ map: map.result(), unmap: unmap.result() }));
}

function warmUp(workload: Workload, clock: Clock, ms: number): void {
  for (const start = clock(); clock() - start < ms;) {
    for (const op of ops) workload[op]();
    workload.checkReleased();
  }
}

/** The repetitions of one operation of one workload. */
class OpSeries {
  readonly #op: Op;
  readonly #ms: number[] = [];
  #counters: CounterValues | null = null;

  constructor(op: Op) {
    this.#op = op;
  }

  run(workload: Workload, clock: Clock): void {
    const before = workload.counters.snapshot();
    const start = clock();
    workload[this.#op]();
    this.#ms.push(clock() - start);
    const counters = workload.counters.since(before);
    this.#checkSame(counters);
    this.#counters = counters;
  }

  result(): OpMeasurement {
    if (!this.#counters) throw new RangeError('a measurement needs at least one repetition');
    const modelMs = { min: min(this.#ms), median: median(this.#ms) };
    return { modelMs, repetitionMs: this.#ms, counters: this.#counters };
  }

  /** Every repetition must count the same; from the second on without exception. */
  #checkSame(counters: CounterValues): void {
    const earlier = this.#counters;
    if (!earlier) return;
    const mayDiffer = this.#ms.length === 2 ? SETTLING : [];
    const name = COUNTER_NAMES.find((n) => counters[n] !== earlier[n] && !mayDiffer.includes(n));
    if (name === undefined) return;
    const figures = `${name} ${earlier[name]}, then ${counters[name]}`;
    throw new ModelBug(`${this.#op}: repetition ${this.#ms.length} counted other work: ${figures}`);
  }
}
