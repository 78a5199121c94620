/**
 * Pages, folios, the memory map, address spaces and page pinning of Linux, as far as DMA mapping
 * meets them. Knows nothing of IOMMUs or VFIO.
 */
export { LATEST_MM_RULES, type MmRules } from './rules.ts';
export { createTask, mmapAnonymous, type TaskOptions } from './create-task.ts';
export { MemMap, type MemoryModel } from './memmap.ts';
export { PageStateArrays, PG } from './page-state.ts';
export type { MemoryRange, ZoneType } from './sections.ts';
export { Memory, type InjectedFailures, VmStat } from './memory.ts';
export { KernelLog, type KernelMessage } from './kernel-log.ts';
export { PageContents, readUser, writeUser } from './page-contents.ts';
export {
  dirtyFolioLock,
  folioMaybeDmaPinned,
  folioOrderOf,
  folioPagesLeft,
  GUP_PIN_COUNTING_BIAS,
  gupPutFolio,
  tryGrabFolio,
} from './folio.ts';
export {
  nthPage,
  numPagesContiguous,
  numPfnsContiguous,
  pageExtIterNextFastPossible,
  pageRangeContiguous,
} from './contiguity.ts';
export { FrameRun, PrescribedLayout, type FrameSource, type LayoutRun } from './frame-source.ts';
export { PageTable, PTE } from './page-table.ts';
export { VM, Vma, VmaTree } from './vma.ts';
export {
  SHMEM_ENABLED,
  THP_ENABLED,
  THP_SIZE_ENABLED,
  thpDefaults,
  type ThpEnabled,
  type ThpSettings,
} from './thp.ts';
export {
  FAULT_FLAG,
  fixupUserFault,
  handleMmFault,
  touchPage,
  VM_FAULT,
  type VmOperations,
} from './fault.ts';
export { MmStruct, Task, UserStruct, type GupFailure } from './mm-struct.ts';
export { folioAddPins, memfdPinFolios, PinnedFolios } from './memfd-pin.ts';
export {
  mmapMemory,
  mmapPfnmap,
  type MemoryKind,
  type MmapMemory,
  type MmapPfnmap,
  type MmapRange,
  type Prot,
} from './mmap.ts';
export { anonymousMemory } from './anon.ts';
export { HugetlbPool } from './hugetlb-pool.ts';
export { HugetlbMemory } from './hugetlb.ts';
export { addHugetlbPins, pageHuge, subHugetlbPins } from './hugetlb-pins.ts';
export { MappedFile, type FileKind } from './page-cache.ts';
export { PciBar } from './pci-bar.ts';
export { placeAnonymous } from './place-anonymous.ts';
export { migrateForLongterm } from './migrate.ts';
export { BuddyAllocator, type BuddyOptions, type ZoneName } from './page-alloc.ts';
export { walkSmaps } from './smaps.ts';
export { exitMmap, zapRange } from './zap.ts';
export { dupMmap } from './fork.ts';
export { adviseCollapse } from './collapse.ts';
export {
  adviseDontneed,
  adviseFork,
  adviseFree,
  adviseHugepage,
  advisePopulate,
  adviseRemove,
  doMmap,
  mlock,
  mlockFuture,
  mmPopulate,
  mprotect,
  munmap,
  type MmapCall,
} from './syscalls.ts';
export { vmEnoughMemory } from './overcommit.ts';
export { mremap, type MremapCall, type Mremapped } from './mremap.ts';
export { accountLockedVm, exceedsMemlock } from './accounting.ts';
export { FOLL } from './foll.ts';
export { pinUserPagesRemote } from './gup.ts';
export { pinUserPagesFast } from './gup-fast.ts';
export { pinUserExtents } from './pin-user-extents.ts';
export { unpinExtent, unpinExtents } from './unpin-extents.ts';
export { SG_MAX_SEGMENT, SgAppendTable, sgAllocAppendTableFromPages } from './sg-table.ts';
export { checkMigrateMovablePages } from './longterm.ts';
export { followPfnmap, type FollowPfnmap } from './pfnmap.ts';
export {
  unpinUserFolioDirtyLocked,
  unpinUserPage,
  unpinUserPageRangeDirtyLock,
  unpinUserPages,
  unpinUserPagesDirtyLock,
  unpinUserPagesOneByOne,
} from './unpin.ts';
