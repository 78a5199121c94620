/**
 * `series-1-4`: what 6.18 does, after all patches of the 2025 series. The pin loop takes runs of
 * consecutive `struct page` pointers, with one test of everything per run; unmapping puts a whole
 * physical range, one put per folio, unless the mapping has reserved pages.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote, 6.18;
 * reference type1.md §5.2 and §6, strategies.md (g)
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinRunsNotingRsvd } from '../pin-runs.ts';
import { unpinRange } from '../unpin-range.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const series14: PinAlgorithm = definePinAlgorithm({
  name: 'series-1-4',
  summary: 'runs of consecutive page pointers per batch; range unpin, one put per folio',
  source: 'Li Zhe, series of 30 June 2025, merged for 6.18',

  pinChunk: pinRunsNotingRsvd,
  unpinRegion: unpinRange,
});
