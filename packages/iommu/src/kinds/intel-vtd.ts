/**
 * Intel VT-d: second-stage tables, 39 to 57 bits.
 *
 * @source drivers/iommu/intel/iommu.c intel_iommu_get_resv_regions, 6.16
 */
import { X86_MSI_REGION } from '../resv-region.ts';
import type { IommuKind } from './kind.ts';

/** The kind. */
export const intelVtdKind: IommuKind = {
  name: 'intel-vtd',
  summary: 'Intel VT-d, 2 MiB and 1 GiB superpages, 39, 48 or 57 address bits',
  format: 'vtd-second-level',
  unit: ({ addressWidth = 48 } = {}) => ({
    kind: 'intel-vtd',
    addressWidth,
    superpageOrders: [9, 18],
    snoopControl: false,
    resvRegions: [X86_MSI_REGION],
  }),
};
