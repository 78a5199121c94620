/**
 * AMD's IOMMU: host page tables of version 1, 64 bits.
 *
 * @source drivers/iommu/amd/iommu.c amd_iommu_get_resv_regions, 6.18; reference iommu.md §9;
 * recordings README-amd, "Aperture"
 */
import { X86_MSI_REGION, type ResvRegion } from '../resv-region.ts';
import { domainIds, type IommuKind } from './kind.ts';

/** Addresses of HyperTransport, 1012 GiB to 1 TiB: never translated. */
const HYPERTRANSPORT: ResvRegion = { type: 'reserved', start: 0xfd00000, last: 0xfffffff };

/** The kind. */
export const amdKind: IommuKind = {
  name: 'amd',
  summary: 'AMD IOMMU, every power of two as a leaf, 64 address bits',
  format: 'amd-v1',
  unit: ({ npCache = false, bootDomains = 0 } = {}) => ({
    kind: 'amd',
    addressWidth: 64,
    superpageOrders: [],
    snoopControl: true,
    resvRegions: [X86_MSI_REGION, HYPERTRANSPORT],
    npCache,
    domainIds: domainIds(bootDomains),
  }),
};
