/** Linux 7.2: type1 as in 6.18, on the page-table code that the IOMMU drivers share. */
import { LATEST_MM_RULES } from '@pinfold/mm';
import { LATEST_TYPE1_KERNEL } from '@pinfold/vfio-type1';
import type { KernelVersion } from '../kernel-version.ts';

/** The 7.2 series. */
export const v7_2: KernelVersion = {
  series: '7.2',
  summary: 'as 6.18, with the generic IOMMU page tables',
  mm: LATEST_MM_RULES,
  ...LATEST_TYPE1_KERNEL,
};
