/**
 * Devices as a container knows them: those of a group without an IOMMU (an emulated or mediated
 * device), which pin the pages that they use themselves.
 *
 * @source drivers/vfio/vfio_main.c vfio_pin_pages, vfio_register_emulated_iommu_dev, 6.16; reference
 * type1.md §9 and §11
 */
import type { IommuGroup } from './vfio-domain.ts';

/** A group of devices without an IOMMU (VFIO_EMULATED_IOMMU). */
export interface EmulatedGroup {
  /** Tells it from a group behind an IOMMU. */
  readonly emulated: true;
  /** Name, for messages. */
  readonly name: string;
}

/** A group of devices that no IOMMU keeps apart from memory (VFIO_NO_IOMMU). */
export interface NoIommuGroup {
  /** Tells it from a group behind an IOMMU. */
  readonly noIommu: true;
  /** Name, for messages. */
  readonly name: string;
}

/** A group that the type1 driver has to do with. */
export type Type1Group = IommuGroup | EmulatedGroup;

/** A group that may join a container. */
export type VfioGroup = Type1Group | NoIommuGroup;

/** A device of a group. */
export interface VfioDevice {
  /** Name, for messages. */
  readonly name: string;
  /** Its group. */
  readonly group: VfioGroup;
  /**
   * Called when a mapping goes of which some device has pages pinned (vfio_device_ops.dma_unmap):
   * the device is to give back what it has pinned there. A device without it cannot pin.
   *
   * @param iova first I/O virtual address of the mapping, in bytes
   * @param size its size in bytes
   */
  readonly dmaUnmap?: (iova: bigint, size: bigint) => void;
}

/**
 * Whether a group has no IOMMU.
 *
 * @param group the group
 * @returns true if its devices are emulated
 */
export function isEmulated(group: VfioGroup): group is EmulatedGroup {
  return 'emulated' in group;
}

/**
 * Whether a group is one of VFIO's no-IOMMU mode.
 *
 * @param group the group
 * @returns true if it is
 * @source drivers/vfio/group.c vfio_noiommu_group_alloc, 6.16
 */
export function isNoIommu(group: VfioGroup): group is NoIommuGroup {
  return 'noIommu' in group;
}
