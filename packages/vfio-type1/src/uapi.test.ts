import { expect, test } from 'vitest';
import {
  DMA_MAP_MINSZ,
  DMA_UNMAP_MINSZ,
  VFIO_BITMAP_SIZE,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
} from './uapi.ts';

// include/uapi/linux/vfio.h
test('constants and sizes are those of the UAPI header', () => {
  expect([VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU]).toEqual([1, 3]);
  expect([VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_DMA_MAP_FLAG_VADDR]).toEqual([
    1, 2, 4,
  ]);
  expect([
    VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
    VFIO_DMA_UNMAP_FLAG_ALL,
    VFIO_DMA_UNMAP_FLAG_VADDR,
  ]).toEqual([1, 2, 4]);
  // u32 argsz, u32 flags, u64 vaddr, iova, size; and u64 pgsize, size, data pointer.
  expect([DMA_MAP_MINSZ, DMA_UNMAP_MINSZ, VFIO_BITMAP_SIZE]).toEqual([32, 24, 24]);
});
