/**
 * `batched`: what 6.16 and 6.17 do. GUP fills batches of 512 pages; every page of them is compared,
 * tested and charged on its own, and unmapping puts every page on its own. All of its steps are the
 * shared defaults.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote, 6.16;
 * reference type1.md §5.1 and §6, strategies.md (f)
 */
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** The registry's entry. */
export const batched: PinAlgorithm = definePinAlgorithm({
  name: 'batched',
  summary: 'batches of 512 pages from GUP, every page compared, charged and put on its own',
  source: 'Daniel Jordan, kernel 5.12; Alex Williamson, runs of pfn mappings; in 6.16 and 6.17',
});
