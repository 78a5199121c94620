/** A kernel release: three small tables, each owned by its layer. */
import type { IommuRules } from '@pinfold/iommu';
import type { MmRules } from '@pinfold/mm';
import type { Type1Rules } from '@pinfold/vfio-type1';

/** A release series and its rules; point releases use the table of their series. */
export interface KernelVersion {
  /** Series, for example `6.18`. */
  readonly series: string;
  /** One line on what is particular about it. */
  readonly summary: string;
  /** The point releases that were recorded; none where sources alone say what it does. */
  readonly recorded: readonly string[];
  /** Rules of the memory management. */
  readonly mm: MmRules;
  /** Rules of the IOMMU layer. */
  readonly iommu: IommuRules;
  /** Rules of VFIO type1. */
  readonly type1: Type1Rules;
}
