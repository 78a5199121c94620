/** The registry of pin algorithms: one line per algorithm. */
import { InputError } from '@pinfold/base';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { batchedPageArray } from './batched-page-array.ts';
import { batched } from './batched.ts';
import { contiguousExternal2020 } from './contiguous-external-2020.ts';
import { extent } from './extent.ts';
import { folioV22025 } from './folio-v2-2025.ts';
import { hugetlb2020 } from './hugetlb-2020.ts';
import { hugetlbV12025 } from './hugetlb-v1-2025.ts';
import { pageAtATime } from './page-at-a-time.ts';
import { pageList } from './page-list.ts';
import { series12 } from './series-1-2.ts';
import { series13 } from './series-1-3.ts';
import { series14Unfixed } from './series-1-4-unfixed.ts';
import { series14 } from './series-1-4.ts';
import { series1Compare } from './series-1-compare.ts';
import { series1Folio } from './series-1-folio.ts';
import { unpinFolio2025 } from './unpin-folio-2025.ts';
import { unpinRfc2025 } from './unpin-rfc-2025.ts';

/** All pin algorithms, oldest first; last our own. */
export const pinAlgorithms: readonly PinAlgorithm[] = [
  pageAtATime,
  hugetlb2020,
  contiguousExternal2020,
  pageList,
  batchedPageArray,
  batched,
  hugetlbV12025,
  folioV22025,
  unpinRfc2025,
  unpinFolio2025,
  series1Folio,
  series1Compare,
  series12,
  series13,
  series14Unfixed,
  series14,
  extent,
];

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
