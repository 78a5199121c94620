/**
 * `pinfold bench`: one mapping per backing and kernel, mapped and unmapped again and again. All of
 * them take turns, so that comparing them means something on a machine whose speed drifts.
 */
import { formatSize, type CounterValues } from '@pinfold/base';
import { kernelVersion } from '@pinfold/vfio-type1';
import { checkWholePages, type Backing } from './backings.ts';
import { checkFits, checkLargest, footprint } from './footprint.ts';
import { layoutOf, type LayoutName, type LayoutTag } from './layouts.ts';
import {
  measure,
  ops,
  type Clock,
  type Measurement,
  type Op,
  type OpMeasurement,
} from './measure.ts';
import { publishedFigure } from './published/index.ts';
import type { PublishedFigure } from './published/published-figure.ts';
import { MemDmaMap, type MemDmaMapOptions } from './workloads/mem-dma-map.ts';

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

/** What a run needs from outside. */
export interface BenchHost {
  /** The clock of the model time. */
  readonly clock: Clock;
  /** Called before every step with a few words on what it is. */
  readonly onProgress?: (step: string) => void;
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
  /** Time that the model took, in milliseconds: never that of a kernel. */
  readonly modelMs: OpMeasurement['modelMs'];
  /** Milliseconds of every repetition; the first ones of all rows were made in turn, and so on. */
  readonly repetitionMs: readonly number[];
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
  const { bytes, backings, kernels } = spec;
  let needed = 0;
  for (const backing of backings) {
    checkWholePages(bytes, backing, place);
    needed += kernels.length * footprint(bytes, backing, layoutOf(backing, spec.layout));
  }
  const names = backings.map(({ name }) => name).join(', ');
  checkFits(needed, availableBytes, `${formatSize(bytes)} of ${names}`, place);
  for (const backing of backings) checkLargest(bytes, backing, place);
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
  const { repeat } = spec;
  const { clock, onProgress } = host;
  const cases = casesOf(spec);
  const workloads = cases.map(({ options, kernel }) => {
    onProgress?.(`${options.backing.name}, ${kernel}: populating memory`);
    return new MemDmaMap(options);
  });
  const onRound = (round: number): void => onProgress?.(`repetition ${round + 1} of ${repeat}`);
  const measurements = measure(workloads, { repeat, clock, onRound });
  const measured = cases.map((one, i) => ({ ...one, measurement: measurements[i] }));
  const rows = spec.backings.flatMap((backing) => {
    const ofBacking = measured.filter(({ options }) => options.backing === backing);
    return ops.flatMap((op) => ofBacking.map((one) => benchRow(one, spec.layout, op)));
  });
  return { rows };
}

/** One kernel on one backing. */
interface BenchCase {
  /** The kernel, as it was asked for. */
  readonly kernel: string;
  readonly options: MemDmaMapOptions;
}

/** What was measured of it. */
interface MeasuredCase extends BenchCase {
  readonly measurement: Measurement;
}

/** All cases: the kernels of a backing follow each other. */
function casesOf({ bytes, backings, kernels, layout }: BenchSpec): BenchCase[] {
  const versions = kernels.map((kernel) => ({ kernel, version: kernelVersion(kernel) }));
  return backings.flatMap((backing) =>
    versions.map(({ kernel, version }) => ({
      kernel,
      options: { kernel: version, backing, layout: layoutOf(backing, layout), bytes },
    })),
  );
}

function benchRow(measured: MeasuredCase, layout: LayoutName, op: Op): BenchRow {
  const { kernel, options, measurement } = measured;
  const { bytes } = options;
  const backing = options.backing.name;
  const { tag } = options.layout;
  const { series } = options.kernel;
  const published = publishedFigure({ series, backing, layout: tag, bytes, op });
  return { kernel, backing, layout, layoutTag: tag, op, bytes, ...measurement[op], published };
}
