/** `--profile`: costs by the name of a published host, or from a file. */
import { InputError } from '@pinfold/base';
import {
  DEFAULT_IOMMU,
  parseProfile,
  profile,
  profileNames,
  UNCALIBRATED,
  type Profile,
} from '@pinfold/bench';
import type { Option } from 'commander';
import { flag } from './flags.ts';
import { readText } from './read-file.ts';

/** Bytes that a file of a profile may have. */
const LIMIT = 2 ** 20;

/**
 * `--profile`: the costs with which kernel times are predicted.
 *
 * @param otherwise what --help says of the default
 * @returns the option, without a default
 */
export function profileOption(otherwise: string): Option {
  const description =
    `predict kernel times with the costs of ${profileNames.join(', ')}, or of a file that ` +
    `pinfold calibrate --save has written (default: ${otherwise})`;
  return flag('--profile <name>', description, namedProfile);
}

/**
 * A profile by its name or file.
 *
 * @param text the name of a published host, or a path that ends in .json
 * @param place the flag or the place in a file, for the message
 * @returns the profile
 * @throws {InputError} when there is none of that name, or the file is none
 */
export function namedProfile(text: string, place: string): Profile {
  if (text.endsWith('.json')) return parseProfile(readText(text, 'a profile', LIMIT), text);
  if (profileNames.includes(text)) return profile(text, place);
  const expected = `one of ${profileNames.join(', ')}, or a file such as own.json`;
  throw new InputError(place, expected, `'${text}'`);
}

/**
 * Checks that a profile's costs are of the same kind of IOMMU: a leaf costs AMD's tables several times
 * what it costs VT-d's, so that what is predicted would be outside its own interval.
 *
 * @param costs the profile; undefined: nothing is predicted
 * @param kind the kind of the IOMMU; undefined: the default
 * @throws {InputError} when they differ
 */
export function checkProfileIommu(costs: Profile | undefined, kind = DEFAULT_IOMMU): void {
  if (costs === undefined || costs.iommu === null || costs.iommu === kind) return;
  const fitting = profileNames.filter((name) => {
    const { iommu } = profile(name);
    return name !== UNCALIBRATED && iommu === kind;
  });
  const expected = `a profile of ${kind} (${[...fitting, UNCALIBRATED].join(', ')})`;
  throw new InputError('--profile', expected, `'${costs.name}', of ${costs.iommu}`);
}
