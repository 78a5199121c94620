/**
 * IOMMU domains and page-table formats: map, unmap, iova_to_phys, the IOTLB gather, reserved
 * regions. Knows nothing of memory management or VFIO.
 */
export { LATEST_IOMMU_RULES, type IommuRules } from './rules.ts';
export { intelVtd, iommuKind, iommuKinds } from './kinds/index.ts';
export type { IommuFacts, IommuKind } from './kinds/kind.ts';
export { canAttach, IommuDomain, iommuPagingDomainAlloc, type IommuUnit } from './domain.ts';
export {
  IOMMU,
  LeafRun,
  PhysRun,
  type DomainIds,
  type DriverFunctions,
  type IoLeaf,
  type IommuDevice,
  type IoPageTable,
  type IoPageTableFormat,
  type IoPageTableOptions,
} from './formats/format.ts';
export { ioPageTableFormat, ioPageTableFormats } from './formats/index.ts';
export { claimDmaOwner, type DmaOwner } from './dma-owner.ts';
export { IotlbGather } from './iotlb-gather.ts';
export { iommuPgsize, Pgsize } from './pgsize.ts';
export { X86_MSI_REGION, type ResvRegion, type ResvType } from './resv-region.ts';
