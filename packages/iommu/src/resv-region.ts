/**
 * Reserved regions: I/O virtual addresses that a device group must not be given.
 *
 * @source include/linux/iommu.h enum iommu_resv_type, 6.16; reference iommu.md §9
 */
import type { IovaPn } from '@pinfold/base';

/** Kinds of reserved regions. */
export type ResvType = 'direct' | 'direct-relaxable' | 'reserved' | 'msi' | 'sw-msi';

/** A reserved region. */
export interface ResvRegion {
  /** Kind; type1 ignores `direct-relaxable`. */
  readonly type: ResvType;
  /** First page. */
  readonly start: IovaPn;
  /** Last page, inclusive. */
  readonly last: IovaPn;
}

/** The interrupt window of x86 IOMMUs, 0xfee00000 to 0xfeefffff: never translated. */
export const X86_MSI_REGION: ResvRegion = { type: 'msi', start: 0xfee00, last: 0xfeeff };
