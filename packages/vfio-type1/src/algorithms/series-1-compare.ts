/**
 * `series-1-compare`: patch 1 of the final series, alone. The pin loop takes runs of consecutive `struct
 * page` pointers, whatever folios they belong to: what GUP returns for a longterm pin is never
 * reserved. Unmapping is that of 6.16.
 *
 * @source Li Zhe, patches 1 and 2 of 14 August 2025; reference strategies.md (g), g1-cmp
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinRuns } from '../pin-runs.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series1Compare: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-compare',
  summary: 'runs of consecutive page pointers per batch; unmapping as batched',
  source: 'Li Zhe, mail of 3 July 2025; patches 1 and 2 of 14 August 2025',

  pinChunk: pinRuns,
});
