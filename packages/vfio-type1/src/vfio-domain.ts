/**
 * An IOMMU domain of a container and the groups that it translates for (`struct vfio_domain`).
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_domain, struct vfio_iommu_group, 6.12 and 6.16;
 * reference type1.md §1
 */
import type { IommuDevice, IommuDomain, IommuUnit, ResvRegion } from '@pinfold/iommu';

/** A group of devices behind one IOMMU. */
export interface IommuGroup {
  /** Name, for messages. */
  readonly name: string;
  /** Its IOMMU. */
  readonly unit: IommuUnit;
  /** Its device, as the IOMMU's driver knows it; default: the driver shows nothing of it. */
  readonly device?: IommuDevice;
  /** Reserved regions of its devices, besides the IOMMU's own. */
  readonly resvRegions?: readonly ResvRegion[];
}

/** A domain of a container. */
export class VfioDomain {
  /** The IOMMU's domain: the page table. */
  readonly domain: IommuDomain;
  /** Groups that are attached to it. */
  readonly groupList: IommuGroup[] = [];
  /** Whether no-snoop requests are ignored, so that DMA is always coherent. */
  readonly enforceCacheCoherency: boolean;
  /** Fine-grained superpages: what is mapped as 8 KiB can only be unmapped as 8 KiB (up to 6.15). */
  fgsp = false;

  /**
   * @param domain the IOMMU's domain
   */
  constructor(domain: IommuDomain) {
    this.domain = domain;
    this.enforceCacheCoherency = domain.unit.snoopControl;
  }
}

/**
 * Reserved regions of a group: those of its IOMMU and those of its devices.
 *
 * @param group the group
 * @returns the regions
 * @source drivers/iommu/iommu.c iommu_get_group_resv_regions, 6.16
 */
export function groupResvRegions(group: IommuGroup): readonly ResvRegion[] {
  return [...group.unit.resvRegions, ...(group.resvRegions ?? [])];
}
