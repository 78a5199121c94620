/** Cases and rows: what every report has in common, whatever it compares. */
import type { CounterValues } from '@pinfold/base';
import { median } from 'simple-statistics';
import type { RowPrediction } from './cost/predict-row.ts';
import type { LayoutTag } from './layouts.ts';
import { measure, type Clock, type Measurement, type Op, type OpMeasurement } from './measure.ts';
import { publishedFigure } from './published/index.ts';
import type { PublishedFigure } from './published/published-figure.ts';
import { DEFAULT_IOMMU, MemDmaMap, type MemDmaMapOptions } from './workloads/mem-dma-map.ts';

/** What a run needs from outside. */
export interface BenchHost {
  /** The clock of the model time. */
  readonly clock: Clock;
  /**
   * Milliseconds for which each case runs unmeasured first, once at least; default 0. Not of a single
   * repetition: that is the first one, with clean pages and absent page tables.
   */
  readonly warmUpMs?: number;
  /** Called before every step with a few words on what it is. */
  readonly onProgress?: (step: string) => void;
  /**
   * Replaces the error of a case, where its algorithm may be wrong; default:
   * the error.
   */
  readonly failureOf?: (error: unknown, failed: BenchCase) => unknown;
}

/** Something to be measured. */
export interface BenchCase {
  /** What it is called among the others: a kernel or an algorithm. */
  readonly name: string;
  /** What is mapped, and how. */
  readonly options: MemDmaMapOptions;
}

/** One call of one case. */
export interface MeasuredRow {
  /** Name of the backing. */
  readonly backing: string;
  /** The layout that the row has: {@link LayoutTag}. */
  readonly layoutTag: LayoutTag;
  /** The call. */
  readonly op: Op;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** Time that the model took, in milliseconds: never that of a kernel. */
  readonly modelMs: OpMeasurement['modelMs'];
  /** Milliseconds of every repetition; the first ones of all rows were made in turn, and so on. */
  readonly repetitionMs: readonly number[];
  /**
   * All counters, of one operation. Every repetition counts the same; only `dirtyLocks`,
   * `iommuTableAllocs` and `iommuTableFrees` may be larger the very first time, when pages are clean
   * and page tables absent. These are those of the last repetition.
   */
  readonly counters: CounterValues;
  /** Seconds that a real kernel took, if published for this size and memory. */
  readonly published: PublishedFigure | null;
  /** Kernel time as a profile predicts it, if one was asked for. */
  readonly predicted?: RowPrediction;
}

/**
 * Measures cases side by side: all machines exist at once, and take turns.
 *
 * @param cases the cases
 * @param repeat repetitions of map and unmap, at least 1
 * @param host clock and progress
 * @returns what was measured, in the order of the cases
 */
export function measureCases(
  cases: readonly BenchCase[],
  repeat: number,
  { clock, warmUpMs = 0, onProgress, failureOf = (error) => error }: BenchHost,
): Measurement[] {
  const workloads = cases.map(({ name, options }) => {
    onProgress?.(`${options.backing.name}, ${name}: populating memory`);
    return new MemDmaMap(options);
  });
  const onRound = (round: number): void => onProgress?.(`repetition ${round + 1} of ${repeat}`);
  return measure(workloads, {
    ...{ repeat, clock, warmUpMs: repeat > 1 ? warmUpMs : 0, onRound },
    failureOf: (error, index) => failureOf(error, cases[index]),
  });
}

/**
 * The row of one call.
 *
 * @param options what was mapped
 * @param measurement what was measured of it
 * @param op the call
 * @param series release series with published figures that it can be compared with, the best first
 * @returns the row
 */
export function measuredRow(
  options: MemDmaMapOptions,
  measurement: Measurement,
  op: Op,
  series: readonly string[],
): MeasuredRow {
  const { bytes, iommu = DEFAULT_IOMMU } = options;
  const [backing, layoutTag] = [options.backing.name, options.layout.tag];
  const published = iommu === DEFAULT_IOMMU ? series : [];
  const figures = published.flatMap(
    (one) => publishedFigure({ series: one, backing, layout: layoutTag, bytes, op }) ?? [],
  );
  return { backing, layoutTag, op, bytes, ...measurement[op], published: figures[0] ?? null };
}

/**
 * How long one row took compared with another: repetition by repetition, because the machine's speed
 * drifts; of these the median.
 *
 * @param times times of the row
 * @param base times of the other, made in the same turns
 * @returns the ratio; null without times, or where one of them is 0
 */
export function medianRatio(times: readonly number[], base: readonly number[]): number | null {
  const ratios = times.map((time, i) => time / base[i]);
  return ratios.length > 0 && ratios.every(Number.isFinite) ? median(ratios) : null;
}
