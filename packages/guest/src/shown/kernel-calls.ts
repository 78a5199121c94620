/**
 * The kernel functions whose calls recordings count, and the counters that count them in the model.
 *
 * @source recordings README, "Recording format" (`calls`, `guest.probes`)
 */
import type { CounterValues } from '@pinfold/base';

type CallCount = (counted: CounterValues) => number;

/** Every function that the model counts. */
const FUNCTIONS: Readonly<Record<string, CallCount>> = {
  vfio_pin_pages_remote: (c) => c.pinPagesRemoteCalls,
  vaddr_get_pfns: (c) => c.gupCalls,
  pin_user_pages_remote: (c) => c.gupCalls,
  __gup_longterm_locked: (c) => c.gupCalls,
  follow_pfnmap_start: (c) => c.pfnmapFollows,
  fixup_user_fault: (c) => c.fixupFaults,
  is_invalid_reserved_pfn: (c) => c.chunkStartTests,
  vfio_lock_acct: (c) => c.accountingUpdates,
  mm_lock_acct: (c) => c.accountingUpdates,
  __account_locked_vm: (c) => c.accountingUpdates,
  iommu_map: (c) => c.iommuMapCalls,
  iommu_map_nosync: (c) => c.iommuMapCalls,
  intel_iommu_map_pages: (c) => c.iommuMapPagesCalls,
  vfio_remove_dma: (c) => c.removeDmaCalls,
  vfio_unmap_unpin: (c) => c.unmapUnpinCalls,
  iommu_iova_to_phys: (c) => c.iovaToPhysCalls,
  iommu_unmap: (c) => c.iommuUnmapSyncCalls,
  iommu_unmap_fast: (c) => c.iommuUnmapCalls - c.iommuUnmapSyncCalls,
  intel_iommu_unmap_pages: (c) => c.iommuUnmapPagesCalls,
  vfio_sync_unpin: (c) => c.syncUnpinCalls,
  intel_iommu_tlb_sync: (c) => c.iotlbSyncs + c.iotlbGatherSyncs,
  cache_tag_flush_range: (c) => c.cacheTagFlushes,
  vfio_unpin_pages_remote: (c) => c.unpinPagesRemoteCalls,
  put_pfn: (c) => c.unwindPuts,
  unpin_user_pages_dirty_lock: (c) => c.unpinCalls - c.unpinRangeCalls,
  unpin_user_page_range_dirty_lock: (c) => c.unpinRangeCalls,
  unpin_user_pages: (c) => c.unpinUserPagesCalls,
  vfio_iommu_type1_attach_group: (c) => c.attachGroupCalls,
  vfio_iommu_type1_detach_group: (c) => c.detachGroupCalls,
  vfio_iommu_type1_register_device: (c) => c.registerDeviceCalls,
  vfio_iommu_type1_unregister_device: (c) => c.unregisterDeviceCalls,
  vfio_iommu_type1_release: (c) => c.releaseCalls,
  vfio_pin_pages: (c) => c.externalPinCalls,
  vfio_iommu_type1_pin_pages: (c) => c.type1PinPagesCalls,
  vfio_unpin_pages: (c) => c.externalUnpinCalls,
  vfio_iommu_type1_unpin_pages: (c) => c.type1UnpinPagesCalls,
  vfio_unpin_page_external: (c) => c.unpinPageExternalCalls,
  vfio_dma_rw: (c) => c.dmaRwCalls,
  extpin_dma_unmap: (c) => c.dmaUnmapNotifications,
  vfio_dma_populate_bitmap: (c) => c.populateBitmapCalls,
  update_user_bitmap: (c) => c.updateUserBitmapCalls,
};

/**
 * Calls per kernel function.
 *
 * @param counted what the counters counted during a step
 * @returns the functions that were called, with the number of calls
 * @source recordings README, "Recording format" (`calls`)
 */
export function kernelCalls(counted: CounterValues): Record<string, number> {
  const calls: Record<string, number> = {};
  for (const [name, count] of Object.entries(FUNCTIONS)) {
    const n = count(counted);
    if (n !== 0) calls[name] = n;
  }
  return calls;
}
