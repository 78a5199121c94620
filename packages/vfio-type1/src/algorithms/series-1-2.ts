/**
 * `series-1-2`: patches 1 and 2 of the series. Pinning by runs of page pointers; unmapping counts a
 * region's external pins once and puts its pages one by one.
 *
 * @source Li Zhe, series of 30 June 2025, patches 1 and 2; reference strategies.md (g)
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinRuns } from '../pin-runs.ts';
import { unpinEach } from '../unpin-range.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series12: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-2',
  summary: 'as series-1-compare, and one look-up of external pins per region unmapped',
  source: 'Li Zhe, series of 30 June 2025, patches 1 and 2',

  pinChunk: pinRuns,
  unpinRegion: unpinEach,
});
