/** The registry of pin algorithms: one line per algorithm. */
import { InputError } from '@pinfold/base';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { batchedPageArray } from './batched-page-array.ts';
import { batched } from './batched.ts';
import { series14 } from './series-1-4.ts';

/** All pin algorithms, oldest first. */
export const pinAlgorithms: readonly PinAlgorithm[] = [batchedPageArray, batched, series14];

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
