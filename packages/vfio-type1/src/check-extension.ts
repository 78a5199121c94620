/**
 * VFIO_CHECK_EXTENSION: what the type1 driver can do.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_check_extension, 6.12 and 6.16;
 * reference type1.md §13
 */
import type { Type1Rules } from './rules.ts';
import {
  VFIO_DMA_CC_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
} from './uapi.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Asks the driver for an extension. The types of VFIO_SET_IOMMU are extensions too.
 *
 * @param rules type1 rules of the kernel
 * @param iommu the container's state, null before VFIO_SET_IOMMU
 * @param extension number of the extension
 * @returns 1 or 0
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_check_extension, 6.12 and 6.16
 */
export function checkExtension(
  rules: Type1Rules,
  iommu: VfioIommu | null,
  extension: number,
): number {
  switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
      return 1;
    case VFIO_UNMAP_ALL:
      return rules.unmapAll ? 1 : 0;
    case VFIO_TYPE1_NESTING_IOMMU:
      return rules.nestingType ? 1 : 0;
    case VFIO_UPDATE_VADDR:
      // A device without an IOMMU may look an address up at any time.
      return rules.updateVaddr && iommu?.emulatedGroups.length === 0 ? 1 : 0;
    case VFIO_DMA_CC_IOMMU:
      return iommu?.domainList.every((domain) => domain.enforceCacheCoherency) ? 1 : 0;
    default:
      return 0;
  }
}
