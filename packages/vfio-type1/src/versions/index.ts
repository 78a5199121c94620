/** The registry of kernel releases: one line per release series. */
import { InputError } from '@pinfold/base';
import type { KernelVersion } from './kernel-version.ts';
import { v6_12 } from './v6-12.ts';
import { v6_16 } from './v6-16.ts';
import { v6_18 } from './v6-18.ts';
import { v7_2 } from './v7-2.ts';

/** All release series, oldest first. */
export const kernelVersions: readonly KernelVersion[] = [v6_12, v6_16, v6_18, v7_2];

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
