/**
 * The page array between GUP and the pin loop (`struct vfio_batch`): entries that are pinned and
 * not yet accounted for. What one chunk leaves over serves the next.
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_batch, 6.16; reference type1.md §1
 */
import type { Page, PageNumbers, Pfn } from '@pinfold/base';
import type { VfioIommu } from './vfio-iommu.ts';

/** Pinned pages on their way into a chunk. */
export class VfioBatch {
  /** `struct page` of the entries. */
  readonly pages: PageNumbers;
  /** Entries that fit: 512, or 1 with disable_hugepages. */
  readonly capacity: number;
  /** Entries not yet consumed. */
  size = 0;
  /** Index of the next entry. */
  offset = 0;
  /** Page frame that the last refill began with; of a pfnmap too, for which `size` stays 0. */
  pfn: Pfn = 0;

  /** @param pages an array from {@link MemMap.pageArray}; its length is the capacity */
  constructor(pages: PageNumbers) {
    this.capacity = pages.length;
    this.pages = pages;
  }
}

/**
 * An empty batch for a map or a replay (vfio_batch_init).
 *
 * @param iommu the container's state
 * @param npage pages that are asked for at most at once; the kernel has a page of memory for it
 * @returns a batch of the release's capacity, or for as many pages as are asked for; of one page
 *   with disable_hugepages
 * @source drivers/vfio/vfio_iommu_type1.c vfio_batch_init, 6.16
 */
export function makeBatch({ memory, rules, params }: VfioIommu, npage: number): VfioBatch {
  const capacity = params.disableHugepages ? 1 : rules.batchCapacity;
  return new VfioBatch(memory.memmap.pageArray(Math.min(capacity, npage)));
}

/**
 * The entry that will be consumed next.
 *
 * @param batch a batch that is not empty
 * @returns its `struct page`
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16
 */
export function nextPage(batch: VfioBatch): Page {
  return batch.pages[batch.offset];
}
