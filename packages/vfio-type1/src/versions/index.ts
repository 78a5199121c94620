/** The kernel releases by name; `all.ts` is their registry. */
import { InputError } from '@pinfold/base';
import * as all from './all.ts';
import type { KernelVersion } from './kernel-version.ts';

/** All release series, oldest first. */
export const kernelVersions: readonly KernelVersion[] = Object.values(all).sort(
  (one, other) => seriesNumber(one) - seriesNumber(other),
);

/** Orders series: 6.9 is older than 6.18. */
function seriesNumber({ series }: KernelVersion): number {
  const [major = 0, minor = 0] = series.split('.').map(Number);
  return major * 1000 + minor;
}

/**
 * Looks a release up by its series or one of its point releases.
 *
 * @param name for example `6.18` or `6.18.15`
 * @returns the series' rules
 * @throws {InputError} when the series is not modelled
 * @source reference type1.md, history facts
 */
export function kernelVersion(name: string): KernelVersion {
  const series = /^(\d+\.\d+)(\.\d+)?$/.exec(name.trim())?.[1];
  const version = kernelVersions.find((candidate) => candidate.series === series);
  if (version) return version;
  const known = kernelVersions.map((candidate) => candidate.series).join(', ');
  throw new InputError('kernel', `${known} or a point release of these`, `'${name}'`);
}
