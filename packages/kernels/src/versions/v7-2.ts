/** Linux 7.2: type1 as in 6.18, on the page-table code that the IOMMU drivers share. */
import { defineRelease } from '../define-release.ts';
import type { KernelVersion } from '../kernel-version.ts';

/** The 7.2 series. */
export const v7_2: KernelVersion = defineRelease({
  series: '7.2',
  summary: 'as 6.18, with the generic IOMMU page tables',
  recorded: ['7.2.12'],
});
