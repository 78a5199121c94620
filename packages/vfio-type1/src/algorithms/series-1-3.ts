/**
 * `series-1-3`: patches 1 to 3 of the series. As `series-1-2`, and the mapping notes whether a chunk of
 * it was reserved, which nothing reads yet.
 *
 * @source Li Zhe, series of 30 June 2025, patches 1 to 3; reference strategies.md (g)
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinRunsNotingRsvd } from '../pin-runs.ts';
import { unpinEach } from '../unpin-range.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series13: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-3',
  summary: 'as series-1-2, and the mapping notes reserved pages',
  source: 'Li Zhe, series of 30 June 2025, patches 1 to 3',

  pinChunk: pinRunsNotingRsvd,
  unpinRegion: unpinEach,
});
