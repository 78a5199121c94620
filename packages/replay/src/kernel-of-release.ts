/** Which modelled release stands for the one of a host. */
import { InputError } from '@pinfold/base';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';

/** A release, and what is to be said of the choice. */
export interface ChosenKernel {
  /** The modelled release. */
  readonly kernel: string;
  /** Why it is not the one of the host. */
  readonly said?: string;
}

function numberOf(release: string): number {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(major) * 1000 + Number(minor);
}

/**
 * Chooses a release.
 *
 * @param release that of the host, such as `6.8.12-2-pve`; undefined: nobody says
 * @returns the release itself where it is modelled, else the nearest; of two that are as near, the older
 * @throws {InputError} when it is no release
 */
export function kernelOfRelease(release: string | undefined): ChosenKernel {
  const newest = kernelVersions.at(-1)?.series ?? '';
  if (release === undefined) {
    return { kernel: newest, said: 'the log does not say the release; the newest is taken' };
  }
  if (!/^\d+\.\d+/.test(release)) throw new InputError('kernel', 'a release such as 6.12', release);
  const series = `${Math.floor(numberOf(release) / 1000)}.${numberOf(release) % 1000}`;
  try {
    return { kernel: kernelVersion(series).series };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  const wanted = numberOf(release);
  const far = (name: string): number => Math.abs(numberOf(name) - wanted);
  const names = kernelVersions.map((version) => version.series);
  const kernel = names.reduce((best, name) => (far(name) < far(best) ? name : best), names[0]);
  return { kernel, said: `${release} is not modelled; ${kernel} stands in for it` };
}
