/** The kernel releases by name; `all.ts` is their registry. */
import { InputError } from '@pinfold/base';
import { seriesNumber } from './series.ts';
import * as all from './versions/all.ts';
import type { KernelVersion } from './kernel-version.ts';

/** All release series, oldest first. */
export const kernelVersions: readonly KernelVersion[] = Object.values(all).sort(
  (one, other) => seriesNumber(one.series) - seriesNumber(other.series),
);

/** No series has had so many point releases: the longest, 4.9, ended with 4.9.337. */
const MAX_POINT = 499;

/**
 * Looks a release up by its series or one of its point releases.
 *
 * @param name for example `6.18` or `6.18.15`; a local version may follow (`7.2.12-iofd`)
 * @returns the series' rules
 * @throws {InputError} when the series is not modelled, or cannot have such a point release
 * @source reference type1.md, history facts
 */
export function kernelVersion(name: string): KernelVersion {
  const [, series, point = '0'] =
    /^(\d+\.\d+)(?:\.(\d+))?(?:-(?!rc\d)[a-z][a-z0-9]*)?$/.exec(name.trim()) ?? [];
  const version = kernelVersions.find((candidate) => candidate.series === series);
  if (version && Number(point) <= MAX_POINT) return version;
  const known = kernelVersions.map((candidate) => candidate.series).join(', ');
  throw new InputError('kernel', `${known} or a point release of these`, `'${name}'`);
}
