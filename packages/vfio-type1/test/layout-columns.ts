/** The columns of reference strategies.md, table 2, as pin algorithms. */
import { pinAlgorithm } from '../src/index.ts';
import { Guest, type GuestOptions } from './guest.ts';
import { BATCHES } from './kernels.ts';

/** Columns a, d, f, g and j of the table; and the page-wise mapping of (c). */
export const RIGHT: readonly string[] = [
  'page-at-a-time',
  'contiguous-external-2020',
  'batched-page-array',
  'batched',
  'series-1-folio',
  'series-1-compare',
  'series-1-2',
  'series-1-3',
  'series-1-4',
  'extent',
];
/** Column b. */
export const B = 'hugetlb-2020';
/** Column e. */
export const E = 'hugetlb-v1-2025';
/** Column e2. */
export const E2 = 'folio-v2-2025';
/** I/O virtual page of the mappings. */
export const IOVA = 4096;

/** A machine on which an algorithm runs; the rest is 6.16. */
export function machine(algorithm: string, options: GuestOptions = {}): Guest {
  return new Guest({
    kernel: BATCHES,
    type1: { pinAlgorithm: pinAlgorithm(algorithm) },
    ...options,
  });
}
