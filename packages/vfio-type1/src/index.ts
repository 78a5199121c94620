/**
 * VFIO type1: containers, DMA mappings and pin algorithms, on top of the memory management and IOMMU
 * packages.
 */
export { VfioContainer } from './container.ts';
export { openContainer, type OpenContainer } from './open-container.ts';
export { ContainerGroups, type ContainerOptions } from './container-groups.ts';
export { VfioDomain, type IommuGroup } from './vfio-domain.ts';
export {
  isEmulated,
  isNoIommu,
  type EmulatedGroup,
  type NoIommuGroup,
  type VfioDevice,
  type VfioGroup,
} from './vfio-device.ts';
export {
  VFIO_DMA_CC_IOMMU,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_TYPE1_IOMMU,
  VFIO_NOIOMMU_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  type DirtyResult,
  type DmaAvailCap,
  type InfoResult,
  type IoctlResult,
  type IovaRangeCap,
  type MigrationCap,
  type UnmapResult,
  type VfioBitmap,
  type VfioIommuType1DirtyBitmap,
  type VfioIommuType1DirtyBitmapGet,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
  type VfioIommuType1Info,
  type VfioIommuType1InfoCap,
} from './uapi.ts';
export { DEFAULT_MODULE_PARAMS, VfioIommu, type ModuleParams } from './vfio-iommu.ts';
export { DmaList, VfioDma } from './dma.ts';
export { DirtyBitmap } from './dirty-bitmap.ts';
export { DIRTY_BITMAP_SIZE_MAX } from './dirty.ts';
export { VfioPfn, VpfnTree } from './vpfn.ts';
export { VfioBatch } from './batch.ts';
export { PinnedChunk } from './pin-chunk.ts';
export { PutCount } from './put-pfn.ts';
export { TLB_SYNC_MAX } from './unmap-regions.ts';
export { NO_PAGE, type ExternalPinRequest } from './pin-external.ts';
export type { IovaRange } from './iova-list.ts';
export type { PinAlgorithm } from './pin-algorithm.ts';
export { pinAlgorithm, pinAlgorithms } from './algorithms/index.ts';
export { algorithmFrom, type AlgorithmOptions } from './own-algorithm/algorithm-from.ts';
export { AlgorithmFault } from './own-algorithm/algorithm-fault.ts';
export type { OwnWork, PinBase } from './pin-algorithm.ts';
export { stackOf } from './own-algorithm/places.ts';
export type { AlgorithmKernel, Folio } from './own-algorithm/algorithm-kernel.ts';
export type {
  OwnAlgorithm,
  OwnBatch,
  OwnChunk,
  OwnDma,
  OwnPinRequest,
  OwnRun,
} from './own-algorithm/own-algorithm.ts';
export { STEPS as ALGORITHM_STEPS, type StepName } from './own-algorithm/guard.ts';
export { ownAlgorithmTemplate, type TemplateBase } from './own-algorithm/template.ts';
export { LATEST_TYPE1_KERNEL } from './latest-kernel.ts';
export type { Type1Kernel, Type1Rules } from './rules.ts';
