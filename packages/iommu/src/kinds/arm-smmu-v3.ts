/**
 * Arm's SMMUv3: stage 1 tables, 48 bits in, 44 bits out.
 *
 * @source drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_get_resv_regions, MSI_IOVA_BASE, 6.18;
 * reference iommu.md §9; recordings README-arm, "Aperture", "Table"
 */
import type { ResvRegion } from '../resv-region.ts';
import { domainIds, type IommuKind } from './kind.ts';

/** Where the driver puts the doorbells of interrupts: a window that is translated. */
const SOFTWARE_MSI: ResvRegion = { type: 'sw-msi', start: 0x8000, last: 0x80ff };

/** The kind. */
export const armSmmuV3Kind: IommuKind = {
  name: 'smmuv3',
  summary: 'Arm SMMUv3, stage 1, 2 MiB and 1 GiB blocks, 48 address bits',
  format: 'arm-lpae-s1',
  unit: ({ bootDomains = 0 } = {}) => ({
    kind: 'smmuv3',
    addressWidth: 48,
    outputWidth: 44,
    superpageOrders: [9, 18],
    snoopControl: false,
    resvRegions: [SOFTWARE_MSI],
    domainIds: domainIds(bootDomains),
  }),
};
