/** What is measured beside others: a kernel as it is, or a pin algorithm in one. */
import { InputError } from '@pinfold/base';
import { kernelVersion, kernelVersions, type KernelVersion } from '@pinfold/kernels';
import { pinAlgorithms, type PinAlgorithm } from '@pinfold/vfio-type1';

/** The kernel that sets the rules for an algorithm: the release that merged the series. */
const RULES = '6.18';

/** A kernel, or an algorithm in one. */
export interface Contender {
  /** Its name, as it was asked for. */
  readonly name: string;
  /** The kernel. */
  readonly kernel: KernelVersion;
  /** Its pin algorithm, or the one that was asked for. */
  readonly pinAlgorithm: PinAlgorithm;
  /** Release series that published figures of it were measured on. */
  readonly series: readonly string[];
}

/**
 * Looks a kernel or a pin algorithm up.
 *
 * @param name a release series, a point release, or the name of a pin algorithm
 * @returns the kernel; for an algorithm, that of 6.18 with it
 * @throws {InputError} when it is neither
 */
export function contender(name: string): Contender {
  const pinAlgorithm = pinAlgorithms.find((candidate) => candidate.name === name);
  if (pinAlgorithm)
    return { name, kernel: kernelVersion(RULES), pinAlgorithm, series: seriesWith(pinAlgorithm) };
  try {
    const kernel = kernelVersion(name);
    const series = [kernel.series];
    return { name, kernel, pinAlgorithm: kernel.type1.pinAlgorithm, series };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError('kernel', `${error.expected}, or a pin algorithm`, `'${name}'`);
  }
}

/**
 * An algorithm of one's own, to be measured beside others: in the release that it is a difference
 * against, or else in another.
 *
 * @param algorithm the algorithm
 * @param otherwise the release where its base is an algorithm, not a release
 * @returns it, without published figures
 */
export function ownContender(algorithm: PinAlgorithm, otherwise: string = RULES): Contender {
  const { name, base } = algorithm;
  const kernel = (base && releaseOf(base.name)) ?? kernelVersion(otherwise);
  return { name, kernel, pinAlgorithm: algorithm, series: [] };
}

function releaseOf(name: string): KernelVersion | null {
  try {
    return kernelVersion(name);
  } catch {
    return null;
  }
}

/**
 * The release series that have an algorithm: published figures of theirs are the algorithm's.
 *
 * @param algorithm the algorithm
 * @returns their names
 */
export function seriesWith(algorithm: PinAlgorithm): string[] {
  return kernelVersions
    .filter(({ type1 }) => type1.pinAlgorithm === algorithm)
    .map(({ series }) => series);
}
