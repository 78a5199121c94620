/**
 * VFIO_IOMMU_GET_INFO: page sizes and the chain of capabilities.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info, 6.12 and 6.16; drivers/vfio/vfio_main.c
 * vfio_info_cap_add, 6.12; reference type1.md §12
 */
import { byteAddress, Errno } from '@pinfold/base';
import { DIRTY_BITMAP_SIZE_MAX } from './dirty.ts';
import {
  INFO_MINSZ,
  INFO_SIZE,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  type VfioIommuType1Info,
  type VfioIommuType1InfoCap,
} from './uapi.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** Bytes of a capability without ranges: header and fields, rounded up to 8. */
const CAP_SIZES = { migration: 32, dma_avail: 16, iova_ranges: 16 } as const;
/** Bytes of one range of the iova_ranges capability. */
const RANGE_SIZE = 16;

/**
 * Answers VFIO_IOMMU_GET_INFO. A structure that has no room for the capabilities gets the size that
 * would do, and none of them.
 *
 * @param iommu the container's state
 * @param argsz size of the caller's structure in bytes, with the room behind it
 * @returns the structure afterwards, or -EINVAL if it is too small for the page sizes
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info, 6.12 and 6.16
 */
export function vfioIommuType1GetInfo(
  iommu: VfioIommu,
  argsz: number,
): VfioIommuType1Info | number {
  if (argsz < INFO_MINSZ)
    return iommu.fail(Errno.EINVAL, 'vfio_iommu_type1_get_info', { argsz, minsz: INFO_MINSZ });
  const caps = capabilities(iommu);
  const needed = caps.reduce((size, cap) => size + sizeOf(cap), INFO_SIZE);
  const fits = argsz >= needed;
  return {
    argsz: fits ? argsz : needed,
    flags: VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS,
    iovaPgsizes: iommu.pgsizeBitmap,
    capOffset: fits ? INFO_SIZE : 0,
    caps: fits ? caps : [],
  };
}

/** The chain in the kernel's order; without a restriction there are no ranges to tell. */
function capabilities(iommu: VfioIommu): readonly VfioIommuType1InfoCap[] {
  const ranges = iommu.iovaList.map(({ start, last }) => ({
    start: byteAddress(start, iommu.pageShift),
    end: byteAddress(last + 1, iommu.pageShift) - 1n,
  }));
  return [
    {
      id: 2,
      version: 1,
      name: 'migration',
      flags: 0,
      pgsizeBitmap: iommu.pgsize,
      maxDirtyBitmapSize: DIRTY_BITMAP_SIZE_MAX,
    },
    { id: 3, version: 1, name: 'dma_avail', avail: iommu.dmaAvail },
    ...(ranges.length > 0 ? [{ id: 1, version: 1, name: 'iova_ranges', ranges } as const] : []),
  ];
}

function sizeOf(cap: VfioIommuType1InfoCap): number {
  return CAP_SIZES[cap.name] + (cap.name === 'iova_ranges' ? cap.ranges.length * RANGE_SIZE : 0);
}
