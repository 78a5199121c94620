/** What of the IOMMU layer holds since when. */
import type { IommuRules } from '@pinfold/iommu';
import { initially, since, type Histories, type History } from './fact.ts';

/** Which page-table format serves a kind of IOMMU; one that is not listed has its own for good. */
export const formatHistory: Readonly<Record<string, History<string>>> = {
  amd: [
    initially(
      'amd-v1',
      'AMD has the page tables of its driver',
      'drivers/iommu/amd/io_pgtable.c, 6.18',
    ),
    since(
      '7.2',
      'generic-pt-amd-v1',
      'AMD has the page tables that the IOMMU drivers share',
      'drivers/iommu/generic_pt; recordings of 7.2.12',
    ),
  ],
  smmuv3: [
    initially('arm-lpae-s1', 'SMMUv3 flushes by its domain', 'recordings of 6.18.15'),
    since(
      '7.2',
      'arm-lpae-s1-inv-list',
      'SMMUv3 flushes by a list of what to invalidate',
      'recordings of 7.2.12',
    ),
  ],
  'intel-vtd': [
    initially(
      'vtd-second-level-5-10',
      'VT-d takes every power of two as a page size, one page per call, and flushes after each unmap',
      'drivers/iommu/intel/iommu.c intel_iommu_map, intel_iommu_unmap, 5.10; recordings of 5.10.223',
    ),
    since(
      '5.15',
      'vtd-second-level-6-12',
      'VT-d takes many pages of one size per call, and flushes once per unmap',
      'drivers/iommu/intel/iommu.c intel_iommu_map_pages, 5.15; recordings of 6.1.176 and 6.12.90',
    ),
    since(
      '6.16',
      'vtd-second-level',
      'a write-only map lets a device only write',
      'drivers/iommu/intel/iommu.c, 6.16; recordings of 6.16.12',
    ),
    since(
      '7.2',
      'generic-pt-vtd-ss',
      'VT-d has the page tables that the IOMMU drivers share',
      'drivers/iommu/generic_pt; recordings of 7.2.12',
    ),
  ],
};

/** The history of every other IOMMU rule. */
export const iommuHistory: Histories<Omit<IommuRules, 'formats'>> = {
  mapNosync: [
    initially(false, 'iommu_map is one function', 'drivers/iommu/iommu.c iommu_map, 6.12'),
    since(
      '6.16',
      true,
      'iommu_map calls iommu_map_nosync',
      'drivers/iommu/iommu.c iommu_map_nosync, 6.16',
    ),
  ],
  attachNeedsSameSuperpages: [
    initially(
      true,
      'a group joins a domain only with the same superpages',
      'drivers/iommu/intel/iommu.c paging_domain_compatible, 6.16',
    ),
    since(
      '6.18',
      false,
      'a group with more superpages joins a domain',
      'drivers/iommu/intel/iommu.c paging_domain_compatible, 6.18',
    ),
  ],
  blocksByEmptyTable: [
    initially(
      false,
      'a group in a container without a driver keeps its own domain',
      'recordings of 5.10.223, grp03',
    ),
    since(
      '5.19',
      true,
      'a group in a container without a driver is blocked by an empty page table',
      'drivers/iommu/iommu.c iommu_group_claim_dma_owner, 6.1; recordings of 6.1.176, grp03',
    ),
    since(
      '6.12',
      false,
      'a group in a container without a driver is blocked without a page table',
      'recordings of 6.12.90, grp03',
    ),
  ],
  syncsEmptyGathers: [
    initially(
      true,
      'a flush of nothing calls the driver',
      'drivers/iommu/iommu.c iommu_unmap, 6.18; recordings of 6.18.15',
    ),
    since('7.2', false, 'a flush of nothing does not call the driver', 'recordings of 7.2.12'),
  ],
};
