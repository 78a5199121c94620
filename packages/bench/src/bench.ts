/**
 * `pinfold bench`: one mapping per backing and kernel, mapped and unmapped again and again. All of
 * them take turns, so that comparing them means something on a machine whose speed drifts.
 */
import { formatSize } from '@pinfold/base';
import { checkWholePages, type Backing } from './backings.ts';
import { contender, type Contender } from './contender.ts';
import type { Profile } from './cost/calibration.ts';
import { rowPredictions } from './cost/predict-row.ts';
import { checkFits, checkLargest, footprint } from './footprint.ts';
import { layoutOf, type LayoutName } from './layouts.ts';
import { ops, type Measurement, type Op } from './measure.ts';
import {
  measureCases,
  measuredRow,
  type BenchCase,
  type BenchHost,
  type MeasuredRow,
} from './rows.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

/** What to measure. */
export interface BenchSpec {
  /** Size of the mapping: a whole number of pages of every backing. */
  readonly bytes: number;
  /** The backings. */
  readonly backings: readonly Backing[];
  /**
   * The kernels: series, point releases such as `6.18.15`, or pin algorithms, which run in 6.18; or
   * algorithms of one's own.
   */
  readonly kernels: readonly (string | Contender)[];
  /** Layout of 4 KiB pages; huge pages have one layout only. */
  readonly layout: LayoutName;
  /** Repetitions of map and unmap, at least 1. */
  readonly repeat: number;
  /** Backings that are left out because the size is no whole number of their pages; default none. */
  readonly leftOut?: readonly Backing[];
  /** Predicts kernel times; default: none are predicted. */
  readonly profile?: Profile | undefined;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string | undefined;
}

/** One operation of one kernel on one backing. */
export interface BenchRow extends MeasuredRow {
  /** The kernel, as it was asked for. */
  readonly kernel: string;
  /** Layout of 4 KiB pages that was asked for; it says nothing about huge pages. */
  readonly layout: LayoutName;
}

/** The result of a run. */
export interface BenchReport {
  /** Its rows: by backing, operation and kernel. */
  readonly rows: readonly BenchRow[];
  /** Names of the backings that were left out: the size is no whole number of their pages. */
  readonly leftOut: readonly string[];
  /** Kind of the IOMMU. */
  readonly iommu: string;
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
  const cases = casesOf(spec);
  const measurements = measureCases(cases, spec.repeat, host);
  const measured = cases.map((one, i) => ({
    ...one,
    measurement: measurements[i],
    predictions: spec.profile ? rowPredictions(one.options, spec.profile) : null,
  }));
  const rows = spec.backings.flatMap((backing) => {
    const ofBacking = measured.filter(({ options }) => options.backing === backing);
    return ops.flatMap((op) => ofBacking.map((one) => benchRow(one, spec.layout, op)));
  });
  const { leftOut = [], iommu = DEFAULT_IOMMU } = spec;
  return { rows, leftOut: leftOut.map(({ name }) => name), iommu };
}

/** A case, and which kernel or algorithm it is of. */
interface ContenderCase extends BenchCase {
  readonly of: Contender;
}

/** A case that was measured. */
interface MeasuredCase extends ContenderCase {
  readonly measurement: Measurement;
  readonly predictions: ReturnType<typeof rowPredictions> | null;
}

/** All cases: the kernels of a backing follow each other. */
function casesOf({ bytes, backings, kernels, layout, iommu }: BenchSpec): ContenderCase[] {
  const contenders = kernels.map((one) => (typeof one === 'string' ? contender(one) : one));
  return backings.flatMap((backing) =>
    contenders.map((of) => {
      const { name, kernel, pinAlgorithm } = of;
      const memory = { backing, layout: layoutOf(backing, layout), bytes, iommu };
      return { name, of, options: { kernel, pinAlgorithm, ...memory } };
    }),
  );
}

function benchRow(
  { name, of, options, measurement, predictions }: MeasuredCase,
  layout: LayoutName,
  op: Op,
): BenchRow {
  const row = { kernel: name, layout, ...measuredRow(options, measurement, op, of.series) };
  return predictions ? { ...row, predicted: predictions[op] } : row;
}
