/** Linux 7.2: type1 as in 6.18, on the page-table code that the IOMMU drivers share. */
import { Errno } from '@pinfold/base';
import { MM_RULES_7_2 } from '@pinfold/mm';
import { series14 } from '../algorithms/series-1-4.ts';
import type { KernelVersion } from './kernel-version.ts';

/** The 7.2 series. */
export const v7_2: KernelVersion = {
  series: '7.2',
  summary: 'as 6.18, with the generic IOMMU page tables',
  mm: MM_RULES_7_2,
  iommu: {
    series: '7.2',
    formats: { 'intel-vtd': 'generic-pt-vtd-ss' },
    syncsEmptyGathers: false,
    source: 'drivers/iommu/generic_pt, recordings of 7.2.12',
  },
  type1: {
    series: '7.2',
    pinAlgorithm: series14,
    batchCapacity: 512,
    wrapErrno: Errno.EOVERFLOW,
    rangeCheckedFirst: true,
    dirtyRangeToTop: true,
    exclusiveEnds: false,
    externalRangeChecked: true,
    fgspTest: false,
    nestingType: false,
    source: 'drivers/vfio/vfio_iommu_type1.c, 7.3; recordings of 7.2.12',
  },
};
