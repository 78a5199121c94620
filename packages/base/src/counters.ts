/**
 * Operation counters: one slot for every operation that a real kernel would pay for. The table
 * below is the only list of them; names, slots and reports follow from it.
 *
 * Loops count in a local and add once per batch, folio or call, so counting costs nothing
 * measurable; every figure is counted from work that was done, none is computed from a formula.
 */

import type { Tracer } from './tracer.ts';

/** What is counted: the counter's name and one line on what one unit of it is. */
export const COUNTER_DOCS = {
  gupCalls: 'pin_user_pages_remote calls, each under one mmap read lock',
  gupSteps: 'slow GUP steps: one page-table walk and one page-table lock each',
  pageFills: 'struct page pointers stored into the page array',
  folioGrabs: 'try_grab_folio calls',
  grabAtomics: 'atomic operations of those grabs (1 on a small folio, 2 on a large one)',
  migrateChecks: 'entries of the page array visited by the longterm (migrate) pass',
  pfnmapFollows: 'follow_pfnmap_start walks',
  pinPagesRemoteCalls: 'vfio_pin_pages_remote calls, one per physically contiguous chunk',
  pfnCompares: 'compares of a pfn with base + pinned',
  pageCompares: 'struct page pointer compares in num_pages_contiguous',
  reservedTests: 'is_invalid_reserved_pfn tests (pfn_valid and the page flag)',
  vpfnLookups: 'look-ups in the vfio_pfn tree of a vfio_dma',
  vpfnNodes: 'vfio_pfn nodes visited by those look-ups',
  limitTests: 'tests of locked_vm against RLIMIT_MEMLOCK before a page or run is accepted',
  accountingUpdates: '__account_locked_vm calls, each under the mmap write lock',
  iommuMapCalls: 'iommu_map calls',
  iommuMapPagesCalls: "the IOMMU driver's map_pages calls, one per page size",
  iommuLeaves4k: '4 KiB leaves written to the IOMMU page table',
  iommuLeaves2m: '2 MiB leaves written to the IOMMU page table',
  iommuLeaves1g: '1 GiB leaves written to the IOMMU page table',
  iommuTableAllocs: 'IOMMU page-table pages allocated',
  iommuTableFrees: 'IOMMU page-table pages freed',
  iovaToPhysCalls: 'iommu_iova_to_phys calls, one walk from the root each',
  iovaToPhysLevels: 'page-table levels read by those walks',
  iommuUnmapCalls: 'iommu_unmap and iommu_unmap_fast calls',
  iommuUnmapPagesCalls: "the IOMMU driver's unmap_pages calls, one per page size",
  regionAllocs: 'vfio_regions records allocated for the fast unmap path',
  iotlbSyncs: 'explicit iommu_iotlb_sync calls of type1',
  iotlbGatherSyncs:
    'IOTLB syncs inside an unmap, because a piece did not fit the gather, or inside a map that replaced tables',
  cacheTagFlushes: 'IOTLB range flushes issued by the VT-d driver',
  unpinPagesRemoteCalls: 'vfio_unpin_pages_remote calls',
  unpinCalls: 'unpin_user_pages_dirty_lock (one page) or unpin_user_page_range_dirty_lock calls',
  putCalls: 'folio segments put by those unpins',
  putAtomics: 'atomic operations of those puts (1 on a small folio, 2 on a large one)',
  dirtyTests: 'folio dirty tests at unpin',
  dirtyLocks: 'folio lock, mark dirty, unlock sequences',
  pageFaults: 'page faults handled (handle_mm_fault)',
  pagesZeroed: '4 KiB pages zeroed for the folios that faults allocated',
  pagesCopied: '4 KiB pages copied to break COW or to unshare',
  fixupFaults: 'fixup_user_fault calls',
  chunkStartTests:
    "of the reserved tests: those of a chunk's first pfn, of a followed pfn mapping and of a page that a device without an IOMMU pins",
  unwindPuts:
    'put_pfn calls of their own: a page of a pin that failed or did not continue, or that a device without an IOMMU gives back',
  removeDmaCalls: 'vfio_remove_dma calls',
  unmapUnpinCalls: 'vfio_unmap_unpin calls',
  syncUnpinCalls: 'vfio_sync_unpin calls',
  unpinRangeCalls: 'of the unpin calls: unpin_user_page_range_dirty_lock',
  unpinUserPagesCalls:
    'unpin_user_pages calls, also those that unpin_user_pages_dirty_lock makes of clean pages',
  iommuUnmapSyncCalls: 'of the IOMMU unmap calls: iommu_unmap, which syncs the IOTLB itself',
  gupFastCalls: 'pin_user_pages_fast calls, without the mmap lock as far as that goes',
  dmaLookups:
    'look-ups of an I/O virtual address in the tree of mappings, by devices without an IOMMU',
  vpfnAllocs: 'vfio_pfn nodes allocated',
  vpfnTreeWalks: 'vfio_pfn trees walked from end to end, to find the pages of a range of frames',
  hugetlbTests: 'tests of a page for hugetlb, by an algorithm that treats hugetlb apart',
  folioLookups: "look-ups of a page's folio, by an algorithm that works folio by folio",
  bulkPins: 'pins of many pages of one folio at once, without GUP',
  mergeCompares: 'compares of neighbours when a page array is merged into a scatter list',
  sgEntries: 'scatter-list entries written',
  attachGroupCalls: 'vfio_iommu_type1_attach_group calls',
  dmaUnmapNotifications:
    'dma_unmap calls of devices, when a mapping of which pages are pinned goes',
  externalPinCalls: 'vfio_pin_pages calls',
  externalUnpinCalls: 'vfio_unpin_pages calls',
  dmaRwCalls: 'vfio_dma_rw calls',
  detachGroupCalls: 'vfio_iommu_type1_detach_group calls',
  registerDeviceCalls: 'vfio_iommu_type1_register_device calls',
  unregisterDeviceCalls: 'vfio_iommu_type1_unregister_device calls',
  releaseCalls: 'vfio_iommu_type1_release calls',
  type1PinPagesCalls:
    'vfio_iommu_type1_pin_pages calls: those of the vfio_pin_pages calls that the core lets pass',
  type1UnpinPagesCalls: 'vfio_iommu_type1_unpin_pages calls',
  unpinPageExternalCalls: 'vfio_unpin_page_external calls, one per page that a device gives back',
  populateBitmapCalls: 'vfio_dma_populate_bitmap calls, each over the pinned pages of one mapping',
  updateUserBitmapCalls:
    'update_user_bitmap calls, each one mapping of which the dirty bitmap is read',
  extentPinCalls: 'walks over page-table leaves that pin extents, each under one mmap read lock',
  leafTables: 'page tables that those walks came to: one walk from the top and one lock each',
  leafVisits: 'page-table leaves that those walks read, 4 KiB, 2 MiB or 1 GiB each',
  extentMerges: 'pinned leaves that became a part of an extent, or began one',
  extentReads: 'extents that were read back to unpin their pages',
  iommuLeavesOther: 'leaves of other sizes written to the IOMMU page table',
  iommuFlushes: 'IOTLB range flushes issued by the drivers of AMD and SMMUv3',
  iommuCommands: 'commands put into the command queue of an AMD IOMMU or an SMMU, waits included',
  folioGrabsFast: 'of the try_grab_folio calls: those of the fast path (try_grab_folio_fast)',
  gupFastFallbacks: '__gup_longterm_locked calls for what the fast path of GUP has left over',
  memfdPinCalls: 'memfd_pin_folios calls',
  memfdAllocs: 'memfd_alloc_folio calls: folios of a memfd that a pin had to allocate',
  folioAddPinsCalls: 'folio_add_pins calls: further pins of a folio that is pinned already',
  gupLargeSteps: 'of the GUP steps: those that ended at a leaf of 2 MiB or more',
  longtermFolios: 'folios that the longterm pass entered',
  putEntries: 'entries of a page array that were walked to put their folios',
  dirtyLocksLarge: 'of the folios locked and marked dirty: large ones',
  unpinUserPageCalls: 'of the unpin calls, those of unpin_user_page',
} as const;

/** Name of a counter. */
export type CounterName = keyof typeof COUNTER_DOCS;

/** All counter names, in the order of their slots. */
export const COUNTER_NAMES = Object.keys(COUNTER_DOCS) as readonly CounterName[];

/**
 * Slot of every counter in {@link Counters.values}, in the order of {@link COUNTER_DOCS}. Written
 * out because the compiler folds a literal's fields into the code, and those of a made object not.
 */
export const Slot: Readonly<Record<CounterName, number>> = {
  gupCalls: 0,
  gupSteps: 1,
  pageFills: 2,
  folioGrabs: 3,
  grabAtomics: 4,
  migrateChecks: 5,
  pfnmapFollows: 6,
  pinPagesRemoteCalls: 7,
  pfnCompares: 8,
  pageCompares: 9,
  reservedTests: 10,
  vpfnLookups: 11,
  vpfnNodes: 12,
  limitTests: 13,
  accountingUpdates: 14,
  iommuMapCalls: 15,
  iommuMapPagesCalls: 16,
  iommuLeaves4k: 17,
  iommuLeaves2m: 18,
  iommuLeaves1g: 19,
  iommuTableAllocs: 20,
  iommuTableFrees: 21,
  iovaToPhysCalls: 22,
  iovaToPhysLevels: 23,
  iommuUnmapCalls: 24,
  iommuUnmapPagesCalls: 25,
  regionAllocs: 26,
  iotlbSyncs: 27,
  iotlbGatherSyncs: 28,
  cacheTagFlushes: 29,
  unpinPagesRemoteCalls: 30,
  unpinCalls: 31,
  putCalls: 32,
  putAtomics: 33,
  dirtyTests: 34,
  dirtyLocks: 35,
  pageFaults: 36,
  pagesZeroed: 37,
  pagesCopied: 38,
  fixupFaults: 39,
  chunkStartTests: 40,
  unwindPuts: 41,
  removeDmaCalls: 42,
  unmapUnpinCalls: 43,
  syncUnpinCalls: 44,
  unpinRangeCalls: 45,
  unpinUserPagesCalls: 46,
  iommuUnmapSyncCalls: 47,
  gupFastCalls: 48,
  dmaLookups: 49,
  vpfnAllocs: 50,
  vpfnTreeWalks: 51,
  hugetlbTests: 52,
  folioLookups: 53,
  bulkPins: 54,
  mergeCompares: 55,
  sgEntries: 56,
  attachGroupCalls: 57,
  dmaUnmapNotifications: 58,
  externalPinCalls: 59,
  externalUnpinCalls: 60,
  dmaRwCalls: 61,
  detachGroupCalls: 62,
  registerDeviceCalls: 63,
  unregisterDeviceCalls: 64,
  releaseCalls: 65,
  type1PinPagesCalls: 66,
  type1UnpinPagesCalls: 67,
  unpinPageExternalCalls: 68,
  populateBitmapCalls: 69,
  updateUserBitmapCalls: 70,
  extentPinCalls: 71,
  leafTables: 72,
  leafVisits: 73,
  extentMerges: 74,
  extentReads: 75,
  iommuLeavesOther: 76,
  iommuFlushes: 77,
  iommuCommands: 78,
  folioGrabsFast: 79,
  gupFastFallbacks: 80,
  memfdPinCalls: 81,
  memfdAllocs: 82,
  folioAddPinsCalls: 83,
  gupLargeSteps: 84,
  longtermFolios: 85,
  putEntries: 86,
  dirtyLocksLarge: 87,
  unpinUserPageCalls: 88,
};

/** Values of all counters by name. */
export type CounterValues = Readonly<Record<CounterName, number>>;

/** The counters of one machine: one typed array, one slot per counter. */
export class Counters {
  /** The slots. Hot code adds to them once per batch: `values[Slot.pageFills] += n`. */
  readonly values: Float64Array = new Float64Array(COUNTER_NAMES.length);
  /** Who sees the calls; null: nobody. Here because counters are what every layer is given. */
  tracer: Tracer | null = null;

  /**
   * Adds to a counter.
   *
   * @param slot slot from {@link Slot}
   * @param n units to add
   */
  add(slot: number, n: number): void {
    this.values[slot] += n;
  }

  /** Sets every counter to 0. */
  reset(): void {
    this.values.fill(0);
  }

  /**
   * All counters by name, also those that are 0.
   *
   * @returns a copy
   */
  snapshot(): CounterValues {
    return this.since(null);
  }

  /**
   * What was counted since an earlier snapshot.
   *
   * @param earlier the snapshot, or null for "since the beginning"
   * @returns the differences by name, also those that are 0
   */
  since(earlier: CounterValues | null): CounterValues {
    return Object.fromEntries(
      COUNTER_NAMES.map((name, slot) => [name, this.values[slot] - (earlier?.[name] ?? 0)]),
    ) as CounterValues;
  }
}
