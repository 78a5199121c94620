/** What an unmap has taken out of the page table and not unpinned yet. */
import { IotlbGather } from '@pinfold/iommu';

/** Regions that may wait for one IOTLB sync (VFIO_IOMMU_TLB_SYNC_MAX). */
export const TLB_SYNC_MAX = 512;

/**
 * Regions that are unmapped and wait for the IOTLB sync before they are unpinned
 * (`struct vfio_regions`).
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_regions, 6.16
 */
export class UnmapRegions {
  readonly #numbers = new Float64Array(3 * TLB_SYNC_MAX);
  /** The invalidation that they wait for. */
  readonly gather: IotlbGather = new IotlbGather();
  /** First I/O virtual page of each. */
  readonly iovaPn: Float64Array = this.#numbers.subarray(0, TLB_SYNC_MAX);
  /** First page frame of each. */
  readonly pfn: Float64Array = this.#numbers.subarray(TLB_SYNC_MAX, 2 * TLB_SYNC_MAX);
  /** Length of each in pages. */
  readonly npage: Float64Array = this.#numbers.subarray(2 * TLB_SYNC_MAX);
  /** How many wait. */
  count = 0;
}
