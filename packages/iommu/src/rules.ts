/**
 * What of the IOMMU layer differs between kernel releases. Code asks the table, never for a
 * version; which release has which table is in `@pinfold/kernels`.
 */

/** The IOMMU part of a kernel release. */
export interface IommuRules {
  /** Names of page-table formats by kind of IOMMU (see `kinds`), where it is not the kind's own. */
  readonly formats: Readonly<Partial<Record<string, string>>>;
  /** Whether iommu_map calls iommu_map_nosync, which only a tracer sees. */
  readonly mapNosync: boolean;
  /**
   * Whether an IOMMU must have just the superpages of a domain to translate by it, or may have more.
   */
  readonly attachNeedsSameSuperpages: boolean;
  /** Whether a group that waits for a driver is blocked by an empty page table. */
  readonly blocksByEmptyTable: boolean;
  /**
   * Whether a flush of an empty gather calls the driver, as iommu_unmap makes one of nothing; if not,
   * the core looks at the gather first.
   */
  readonly syncsEmptyGathers: boolean;
  /** Kernel source or reference section of the facts above. */
  readonly source: string;
}

/** The rules of the newest kernel, so that this package can be used alone. */
export const LATEST_IOMMU_RULES: IommuRules = {
  formats: {
    'intel-vtd': 'generic-pt-vtd-ss',
    amd: 'generic-pt-amd-v1',
    smmuv3: 'arm-lpae-s1-inv-list',
  },
  mapNosync: true,
  attachNeedsSameSuperpages: false,
  blocksByEmptyTable: false,
  syncsEmptyGathers: false,
  source: 'drivers/iommu/generic_pt; recordings of 7.2.12',
};
