/**
 * Linux's iommufd: I/O address spaces, and pages that are pinned once, however many domains and
 * accesses use them. A peer of the type1 driver.
 */
export {
  Iommufd,
  type MapResult,
  type OptionResult,
  type RangesResult,
  type UnmapResult,
} from './iommufd.ts';
export { VfioCompat, type CompatInfo, type CompatMap, type CompatUnmap } from './vfio-compat.ts';
export { IommufdCalls } from './calls.ts';
export { IommufdContext, type IommufdOptions } from './context.ts';
export { IOMMUFD_RULES_7_2, iommufdRules, type IommufdRules } from './rules.ts';
export { refusalText, Refusals, type IommufdCheck, type IommufdRefusal } from './refusal.ts';
export { IommufdObjects, type IommufdObject } from './objects.ts';
export { IommufdHwptPaging, IommufdIoas } from './ioas.ts';
export { IommufdDevice } from './device.ts';
export { IommufdAccess, type AccessOps } from './access.ts';
export {
  IoPagetable,
  type PagesSlice,
  type Placed,
  type ReservedRange,
  type Unmapped,
} from './io-pagetable.ts';
export { IoptArea } from './area.ts';
export {
  ACCOUNT_MODE,
  IoptPages,
  type PagesAccess,
  type PagesContext,
  type PagesNode,
  type PagesSource,
} from './pages.ts';
export { PinnedPfns } from './pinned-pfns.ts';
export { IntervalTree, type Interval } from './interval-tree.ts';
export { MAX_BATCH_RANGES, MAX_PIN_PAGES } from './pfn-batch.ts';
export {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMUFD_ACCESS_RW_KTHREAD,
  IOMMUFD_ACCESS_RW_SLOW_PATH,
  IOMMUFD_ACCESS_RW_WRITE,
  type DmaBuf,
  type IommuIoasCopy,
  type IommuIoasMap,
  type IommuIoasMapFile,
  type IovaRange,
  type MappableFile,
} from './uapi.ts';
