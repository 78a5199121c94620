/** A patch beside its base: counts and calls, as far as a wrong patch can be run. */
import { KernelBug, KernelError, ModelBug } from '@pinfold/base';
import {
  backing,
  checkCompare,
  compareAlgorithms,
  layout,
  memoriesOf,
  type CompareReport,
  type CompareSpec,
} from '@pinfold/bench';
import { kernelVersion } from '@pinfold/kernels';
import { AlgorithmFault, type PinAlgorithm } from '@pinfold/vfio-type1';
import { callDifference } from './call-difference.ts';

/** What was measured; in words why not, where the patch could not be run to its end. */
export interface MeasuredPatch {
  /** Counts of the patch and of its base, on the memories on which it runs; null if there is none. */
  readonly comparison: CompareReport | null;
  /** On which memories it does not, and why. */
  readonly notMeasured: readonly string[];
  /** Lines of a unified diff of the calls; none if they are the same. */
  readonly calls: readonly string[] | string;
}

const MEMORIES = { backings: ['4k', 'thp'], layouts: ['S4', 'T4', 'H2'] } as const;

/**
 * Measures a patch beside its base.
 *
 * @param algorithm the patch
 * @param kernel the release
 * @param bytes size of the mappings
 * @returns counts and calls
 * @throws {InputError} when the size does not suit
 */
export async function measurePatch(
  algorithm: PinAlgorithm,
  kernel: string,
  bytes: number,
): Promise<MeasuredPatch> {
  const base = algorithm.base?.algorithm ?? kernelVersion(kernel).type1.pinAlgorithm;
  const memories = memoriesOf({
    backings: MEMORIES.backings.map((name) => backing(name)),
    layouts: MEMORIES.layouts.map((tag) => layout(tag)),
  });
  const spec = { algorithms: [algorithm], base, bytes, kernel, repeat: 1 };
  const notMeasured: string[] = [];
  const reports = memories.flatMap((memory) => {
    const one: CompareSpec = { ...spec, memories: [memory] };
    checkCompare(one, process.availableMemory(), '--size');
    try {
      return [compareAlgorithms(one, { clock: () => performance.now() })];
    } catch (error) {
      notMeasured.push(`${memory.backing.name}, ${memory.layout.tag}: ${whyNot(error)}`);
      return [];
    }
  });
  let calls: MeasuredPatch['calls'];
  try {
    calls = await callDifference(kernelVersion(kernel), base, algorithm);
  } catch (error) {
    calls = whyNot(error);
  }
  return { comparison: together(reports), notMeasured, calls };
}

/** Reports on different memories, as one. */
function together(reports: readonly CompareReport[]): CompareReport | null {
  if (reports.length === 0) return null;
  return {
    ...reports[0],
    rows: reports.flatMap(({ rows }) => rows),
    smallFolios: reports.flatMap(({ smallFolios }) => smallFolios),
    patches: reports.flatMap(({ patches }) => patches),
    uncounted: reports.flatMap(({ uncounted }) => uncounted),
  };
}

/** What a wrong patch ends with, in words; anything else is thrown. */
function whyNot(error: unknown): string {
  if (error instanceof KernelBug) return `the kernel would crash: ${error.message}`;
  const kinds = [KernelError, ModelBug, AlgorithmFault];
  if (kinds.some((kind) => error instanceof kind)) return (error as Error).message;
  throw error;
}
