/**
 * `pinfold bench`: one mapping per backing and kernel, mapped and unmapped again and again. The
 * kernels of a backing are measured side by side, so that their ratio means something on a machine
 * whose speed drifts.
 */
import type { CounterValues } from '@pinfold/base';
import { kernelVersion } from '@pinfold/vfio-type1';
import { checkWholePages, type Backing } from './backings.ts';
import { checkFits } from './footprint.ts';
import { layoutOf, type LayoutName, type LayoutTag } from './layouts.ts';
import { measure, ops, type Clock, type Op, type OpMeasurement } from './measure.ts';
import { publishedFigure } from './published/index.ts';
import type { PublishedFigure } from './published/published-figure.ts';
import { MemDmaMap } from './workloads/mem-dma-map.ts';

/** What to measure. */
export interface BenchSpec {
  /** Size of the mapping: a whole number of pages of every backing. */
  readonly bytes: number;
  /** The backings. */
  readonly backings: readonly Backing[];
  /** The kernels: series, or point releases such as `6.18.15`. */
  readonly kernels: readonly string[];
  /** Layout of 4 KiB pages; huge pages have one layout only. */
  readonly layout: LayoutName;
  /** Repetitions of map and unmap, at least 1. */
  readonly repeat: number;
}

/** Where a run stands. */
export interface BenchProgress {
  /** The backing at work. */
  readonly backing: Backing;
  /** Round of the measurement, from 0; -1 while memory is being populated. */
  readonly round: number;
}

/** What a run needs from outside. */
export interface BenchHost {
  /** The clock of the model time. */
  readonly clock: Clock;
  /** Called before every step. */
  readonly onProgress?: (progress: BenchProgress) => void;
}

/** One operation of one kernel on one backing. */
export interface BenchRow {
  /** The kernel, as it was asked for. */
  readonly kernel: string;
  /** Name of the backing. */
  readonly backing: string;
  /** Layout of 4 KiB pages that was asked for; it says nothing about huge pages. */
  readonly layout: LayoutName;
  /** The layout that the row has: T4 or S4 (4 KiB pages), H2 or H1 (huge pages, never adjacent). */
  readonly layoutTag: LayoutTag;
  /** The operation. */
  readonly op: Op;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** Repetitions behind the times. */
  readonly repetitions: number;
  /** Time that the model took, in milliseconds: never that of a kernel. */
  readonly modelMs: OpMeasurement['modelMs'];
  /**
   * All counters, of one operation. Every repetition counts the same; only `dirtyLocks`,
   * `iommuTableAllocs` and `iommuTableFrees` may be larger in the first one, when pages are clean
   * and page tables absent. These are those of the last repetition.
   */
  readonly counters: CounterValues;
  /** Seconds that a real kernel took, if published for this size and memory. */
  readonly published: PublishedFigure | null;
}

/** The result of a run. */
export interface BenchReport {
  /** Its rows: by backing, operation and kernel. */
  readonly rows: readonly BenchRow[];
}

/**
 * Checks what can be known to fail before anything is allocated.
 *
 * @param spec what to measure
 * @param availableBytes memory that the model may take, in bytes; Infinity for any
 * @param place the flag or the place in a file that states the size, for messages
 * @throws {InputError} when the size is no whole number of a backing's pages, or the model would
 *   need more memory
 */
export function checkSize(spec: BenchSpec, availableBytes: number, place = 'size'): void {
  const { bytes, kernels } = spec;
  for (const backing of spec.backings) {
    const layout = layoutOf(backing, spec.layout);
    checkWholePages(bytes, backing, place);
    checkFits(bytes, backing, layout, kernels.length, availableBytes, place);
  }
}

/**
 * Runs the unit test `vfio-pci-mem-dma-map` on the model.
 *
 * @param spec what to measure
 * @param host clock and progress
 * @returns one row per backing, operation and kernel
 * @throws {InputError} when a kernel is not modelled, or the size does not suit
 */
export function benchMemDmaMap(spec: BenchSpec, host: BenchHost): BenchReport {
  checkSize(spec, Infinity);
  return { rows: spec.backings.flatMap((backing) => benchBacking(spec, backing, host)) };
}

/** All kernels on one backing, side by side. */
function benchBacking(spec: BenchSpec, backing: Backing, host: BenchHost): BenchRow[] {
  const { bytes, repeat } = spec;
  const { clock, onProgress } = host;
  const layout = layoutOf(backing, spec.layout);
  onProgress?.({ backing, round: -1 });
  const versions = spec.kernels.map((name) => kernelVersion(name));
  const workloads = versions.map((kernel) => new MemDmaMap({ kernel, backing, layout, bytes }));
  const onRound = (round: number): void => onProgress?.({ backing, round });
  const measurements = measure(workloads, { repeat, clock, onRound });
  return ops.flatMap((op) =>
    versions.map(({ series }, i) => ({
      kernel: spec.kernels[i],
      backing: backing.name,
      layout: spec.layout,
      layoutTag: layout.tag,
      op,
      bytes,
      repetitions: repeat,
      ...measurements[i][op],
      published: publishedFigure({ series, backing: backing.name, layout: layout.tag, bytes, op }),
    })),
  );
}
