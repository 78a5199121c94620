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
  /** The invalidation that they wait for. */
  readonly gather: IotlbGather = new IotlbGather();
  /** First I/O virtual page of each. */
  readonly iovaPn: Float64Array;
  /** First page frame of each. */
  readonly pfn: Float64Array;
  /** Length of each in pages. */
  readonly npage: Float64Array;
  /** How many wait. */
  count = 0;

  /** @param npage pages that will be unmapped: there are no more regions than that */
  constructor(npage: number) {
    const most = Math.min(npage, TLB_SYNC_MAX);
    this.iovaPn = new Float64Array(most);
    this.pfn = new Float64Array(most);
    this.npage = new Float64Array(most);
  }
}
