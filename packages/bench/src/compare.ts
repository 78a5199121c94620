/**
 * `pinfold compare`: pin algorithms beside each other, on the same memory and under the rules of the
 * same kernel. The algorithms of one memory take turns; the memories come one after the other, so
 * that only the machines of one exist at once.
 */
import { formatSize } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, type OwnWork, type PinAlgorithm } from '@pinfold/vfio-type1';
import { checkWholePages, type Backing } from './backings.ts';
import { changeOf, smallFolioChanges, type CompareRow, type SmallFolioChange } from './changes.ts';
import { seriesWith } from './contender.ts';
import { checkFits, checkLargest, footprint } from './footprint.ts';
import { ops, type Op } from './measure.ts';
import { memoryName, type Memory } from './memories.ts';
import { operations, totalOperations, type OperationName } from './operations.ts';
import { patchChanges, type PatchChange } from './patches.ts';
import type { Profile } from './cost/calibration.ts';
import { rowPredictions } from './cost/predict-row.ts';
import { measureCases, measuredRow, type BenchHost, type MeasuredRow } from './rows.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

/** The algorithm that others are compared with unless another is asked for: that of 6.16. */
export const DEFAULT_BASE = 'batched';

/** The large-folio series, patch by patch: what is compared unless others are asked for. */
export const DEFAULT_ALGORITHMS: readonly string[] = [
  DEFAULT_BASE,
  'series-1-compare',
  'series-1-2',
  'series-1-3',
  'series-1-4',
];

/** What to compare. */
export interface CompareSpec {
  /** The algorithms, with or without the base and what own ones are differences against; each once. */
  readonly algorithms: readonly PinAlgorithm[];
  /** The algorithm that the others are compared with. */
  readonly base: PinAlgorithm;
  /** The memories. */
  readonly memories: readonly Memory[];
  /** Size of the mapping: a whole number of pages of every backing. */
  readonly bytes: number;
  /** The kernel that sets the rules for all, except its pin algorithm: a series or a point release. */
  readonly kernel: string;
  /** Repetitions of map and unmap, at least 1. */
  readonly repeat: number;
  /** Backings that are left out because the size is no whole number of their pages; default none. */
  readonly leftOut?: readonly Backing[];
  /** Predicts kernel times; default: none are predicted. */
  readonly profile?: Profile | undefined;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string | undefined;
}

/** An algorithm of a comparison. */
export interface ComparedAlgorithm {
  /** Its name. */
  readonly name: string;
  /** One line on what it is. */
  readonly summary: string;
  /** Where it comes from. */
  readonly source: string;
  /** What is known to be wrong with it. */
  readonly defects: readonly string[];
  /** What it is a difference against, as its file names it; null for one that is built in. */
  readonly base: string | null;
}

/** What an algorithm of one's own does on a memory and no counter counts, per page that it pins. */
export interface UncountedWork {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** The memory, as headings name it. */
  readonly memory: string;
  /** Entries of batches that it reads. */
  readonly pageReads: number;
  /** Frames that it makes of pages, and pages of frames. */
  readonly conversions: number;
}

/** The result of a comparison. */
export interface CompareReport {
  /** The kernel, as it was asked for. */
  readonly kernel: string;
  /** Size of the mapping in bytes. */
  readonly bytes: number;
  /** Name of the algorithm that the others are compared with. */
  readonly base: string;
  /** The algorithms, the base first unless it was asked for at another place. */
  readonly algorithms: readonly ComparedAlgorithm[];
  /** The counters that `operations` adds up, by call. */
  readonly operations: Readonly<Record<Op, readonly OperationName[]>>;
  /** One row per memory, call and algorithm. */
  readonly rows: readonly CompareRow[];
  /** For 4 KiB folios: what each algorithm does more, and less, than the base. */
  readonly smallFolios: readonly SmallFolioChange[];
  /** What algorithms of one's own change, each against its own base. */
  readonly patches: readonly PatchChange[];
  /** Names of the backings that were left out: the size is no whole number of their pages. */
  readonly leftOut: readonly string[];
  /** Kind of the IOMMU. */
  readonly iommu: string;
  /** What algorithms of one's own do besides: it is in no count and in no change. */
  readonly uncounted: readonly UncountedWork[];
}

/**
 * The algorithms that are compared unless others are asked for.
 *
 * @returns the {@link DEFAULT_ALGORITHMS}
 */
export function defaultAlgorithms(): PinAlgorithm[] {
  return DEFAULT_ALGORITHMS.map((name) => pinAlgorithm(name));
}

/**
 * Checks what can be known to fail before anything is allocated. What an algorithm itself remembers
 * of a mapping, such as a scatter list, is not in the estimate.
 *
 * @param spec what to compare
 * @param availableBytes memory that the model may take, in bytes; Infinity for any
 * @param place the flag or the place in a file that states the size, for messages
 * @throws {InputError} when the size is no whole number of a backing's pages, or the model would
 *   need more memory
 */
export function checkCompare(spec: CompareSpec, availableBytes: number, place = 'size'): void {
  const { bytes, memories } = spec;
  const machines = algorithmsOf(spec).length;
  for (const { backing, layout } of memories) {
    checkWholePages(bytes, backing, place);
    const needed = machines * footprint(bytes, backing, layout);
    checkFits(needed, availableBytes, `${formatSize(bytes)} of ${backing.name}`, place);
    checkLargest(bytes, backing, place);
  }
}

/**
 * Compares pin algorithms by the unit test `vfio-pci-mem-dma-map`.
 *
 * @param spec what to compare
 * @param host clock and progress
 * @returns one row per memory, call and algorithm, and what small folios pay
 * @throws {InputError} when the kernel is not modelled, or the size does not suit
 */
export function compareAlgorithms(spec: CompareSpec, host: BenchHost): CompareReport {
  checkCompare(spec, Infinity);
  const algorithms = algorithmsOf(spec);
  const uncounted: UncountedWork[] = [];
  const rows = spec.memories.flatMap((memory) => {
    const before = algorithms.map(({ ownWork }) => ({ ...ownWork }));
    const made = rowsOf(spec, algorithms, memory, host);
    uncounted.push(...algorithms.flatMap((one, i) => uncountedOf(one, before[i], made[0])));
    return made;
  });
  return {
    ...{ kernel: spec.kernel, bytes: spec.bytes, base: spec.base.name },
    algorithms: algorithms.map(({ name, summary, source, defects, base }) => ({
      ...{ name, summary, source, defects, base: base?.name ?? null },
    })),
    ...{ operations, rows, smallFolios: smallFolioChanges(rows, spec.base.name) },
    patches: patchChanges(algorithms, rows),
    leftOut: (spec.leftOut ?? []).map(({ name }) => name),
    iommu: spec.iommu ?? DEFAULT_IOMMU,
    uncounted,
  };
}

/** What an algorithm of one's own has done besides since `before`; nothing for one that is built in. */
function uncountedOf(
  { name, ownWork }: PinAlgorithm,
  before: Partial<OwnWork>,
  row: CompareRow,
): UncountedWork[] {
  if (!ownWork) return [];
  const pages = Math.max(1, ownWork.pages - (before.pages ?? 0));
  return [
    {
      ...{ algorithm: name, memory: memoryName(row) },
      pageReads: (ownWork.pageReads - (before.pageReads ?? 0)) / pages,
      conversions: (ownWork.conversions - (before.conversions ?? 0)) / pages,
    },
  ];
}

/** The algorithms of a comparison: the base, and those that own ones are differences against, too. */
function algorithmsOf({ algorithms, base }: CompareSpec): readonly PinAlgorithm[] {
  const bases = [base, ...algorithms.flatMap((one) => one.base?.algorithm ?? [])];
  const missing = bases.filter((one) => !algorithms.includes(one));
  return [...new Set([...missing, ...algorithms])];
}

/** The rows of one memory: by call and algorithm. */
function rowsOf(
  spec: CompareSpec,
  algorithms: readonly PinAlgorithm[],
  memory: Memory,
  host: BenchHost,
): CompareRow[] {
  const kernel = kernelVersion(spec.kernel);
  const cases = algorithms.map((pinAlgorithm) => ({
    name: `${memory.layout.tag}, ${pinAlgorithm.name}`,
    options: { kernel, pinAlgorithm, ...memory, bytes: spec.bytes, iommu: spec.iommu },
  }));
  const measurements = measureCases(cases, spec.repeat, host);
  const { profile } = spec;
  const predictions = cases.map(({ options }) => profile && rowPredictions(options, profile));
  const row = (op: Op, algorithm: PinAlgorithm): MeasuredRow => {
    const i = algorithms.indexOf(algorithm);
    const made = measuredRow(cases[i].options, measurements[i], op, seriesWith(algorithm));
    const predicted = predictions[i]?.[op];
    return predicted ? { ...made, predicted } : made;
  };
  return ops.flatMap((op) => {
    const base = row(op, spec.base);
    return algorithms.map((algorithm) => {
      const measured = row(op, algorithm);
      return {
        ...{ algorithm: algorithm.name, ...measured },
        operations: totalOperations(op, measured.counters),
        change: algorithm === spec.base ? null : changeOf(measured, base),
      };
    });
  });
}
