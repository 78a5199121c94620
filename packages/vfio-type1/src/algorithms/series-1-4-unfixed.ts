/**
 * `series-1-4-unfixed`: `series-1-4` as it was merged first. The look-up of a single external pin had
 * become a look-up of the page's length from the address on: where a driver pins at addresses inside
 * pages, it finds the neighbour. Reference counts go wrong and nodes stay behind, which the removal of
 * the mapping warns of, or waits for in vain. Fixed on 25 July 2025, before any release.
 *
 * @source Li Zhe, series of July 2025 before the fix of 25 July 2025 to vfio_find_vpfn; reference
 * type1.md §5.5
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinRunsNotingRsvd } from '../pin-runs.ts';
import { unpinRange } from '../unpin-range.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series14Unfixed: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-4-unfixed',
  summary: 'series-1-4 as first merged: an external pin inside a page is taken for its neighbour',
  source: 'Li Zhe, series of July 2025, before the fix of 25 July 2025',
  defects: [
    'vfio_find_vpfn finds the node after an unaligned address (the fix of 25 July 2025 names it)',
  ],
  vpfnSpan: 'page',

  pinChunk: pinRunsNotingRsvd,
  unpinRegion: unpinRange,
});
