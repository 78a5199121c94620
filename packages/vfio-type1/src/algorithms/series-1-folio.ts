/**
 * `series-1-folio`: patch 1 of the series as posted on 30 June 2025, alone. The pin loop takes runs that
 * end with the folio, because all pages of a folio are reserved or none; unmapping is that of 6.16.
 * The look-up of a single external pin was the unfixed one.
 *
 * @source Li Zhe, patch 1/4 of 30 June 2025; reference strategies.md (g), g1-folio
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinFolioRuns } from '../pin-runs.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series1Folio: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-folio',
  summary: 'runs inside one folio per batch; unmapping as batched',
  source: 'Li Zhe, patch 1/4 of 30 June 2025',
  defects: [
    'vfio_find_vpfn finds the node after an unaligned address (the fix of 25 July 2025 names it)',
  ],
  vpfnSpan: 'page',

  pinChunk: pinFolioRuns,
});
