/** The pin algorithms by name; `all.ts` is their registry. */
import { InputError } from '@pinfold/base';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import * as all from './all.ts';

/** All pin algorithms, in the order of their names. */
export const pinAlgorithms: readonly PinAlgorithm[] = Object.values(all).sort((one, other) =>
  one.name < other.name ? -1 : 1,
);

/**
 * Looks an algorithm up.
 *
 * @param name its name
 * @returns the algorithm
 * @throws {InputError} when there is none of that name
 * @source reference strategies.md
 */
export function pinAlgorithm(name: string): PinAlgorithm {
  const algorithm = pinAlgorithms.find((candidate) => candidate.name === name);
  if (algorithm) return algorithm;
  const names = pinAlgorithms.map((candidate) => candidate.name).join(', ');
  throw new InputError('pin algorithm', `one of ${names}`, `'${name}'`);
}
