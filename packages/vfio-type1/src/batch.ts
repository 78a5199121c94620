/**
 * The page array between GUP and the pin loop (`struct vfio_batch`): entries that are pinned and
 * not yet accounted for. What one chunk leaves over serves the next.
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_batch, 6.16; reference type1.md §1
 */
import type { Page, PageNumbers, Pfn } from '@pinfold/base';
import type { VfioIommu } from './vfio-iommu.ts';

/** Bytes of a `struct page *`, and of an unsigned long. */
export const POINTER_SIZE = 8;

/** Pinned pages on their way into a chunk. */
export class VfioBatch {
  /** `struct page` of the entries. */
  readonly pages: PageNumbers;
  /** Entries that fit: as many pointers as a page holds, or 1 with disable_hugepages. */
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
 *   with disable_hugepages, or without memory for more
 * @source drivers/vfio/vfio_iommu_type1.c vfio_batch_init, 6.16
 */
export function makeBatch(iommu: VfioIommu, npage: number): VfioBatch {
  const { memory, rules, params, pageSize } = iommu;
  const { batchCapacity } = rules;
  const full = batchCapacity === 'page' ? pageSize / POINTER_SIZE : batchCapacity;
  // Without memory for the array, the batch has the entry that is part of it.
  const small = params.disableHugepages || (memory.injected?.alloc() ?? false);
  const capacity = small ? 1 : full;
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
