/**
 * The kernel functions whose calls recordings count, and the counters that count them in the model.
 *
 * @source recordings README, "Recording format" (`calls`, `guest.probes`)
 */
import { Slot } from '@pinfold/base';
import type { MmRules } from '@pinfold/mm';

/** Calls that iommufd has made, of its own functions and of others. */
type IommufdCounts = Readonly<Record<string, number>>;

type CallCount = (counted: Float64Array, iommufd: IommufdCounts) => number;

/** Every function that the model counts. */
const FUNCTIONS: Readonly<Record<string, CallCount>> = {
  vfio_pin_pages_remote: (c) => c[Slot.pinPagesRemoteCalls],
  vaddr_get_pfns: (c, iommufd) => c[Slot.gupCalls] - (iommufd.pin_user_pages_remote ?? 0),
  pin_user_pages_remote: (c) => c[Slot.gupCalls],
  __gup_longterm_locked: (c) => c[Slot.gupCalls] + c[Slot.gupFastFallbacks],
  pin_user_pages_fast: (c) => c[Slot.gupFastCalls],
  try_grab_folio_fast: (c) => c[Slot.folioGrabsFast],
  try_grab_folio: (c) => c[Slot.folioGrabs] - c[Slot.folioGrabsFast],
  // Inlined in unpin_user_page.
  gup_put_folio: (c) => c[Slot.putCalls] - c[Slot.unpinUserPageCalls],
  memfd_pin_folios: (c) => c[Slot.memfdPinCalls],
  memfd_alloc_folio: (c) => c[Slot.memfdAllocs],
  folio_add_pins: (c) => c[Slot.folioAddPinsCalls],
  follow_pfnmap_start: (c) => c[Slot.pfnmapFollows],
  fixup_user_fault: (c) => c[Slot.fixupFaults],
  is_invalid_reserved_pfn: (c) => c[Slot.chunkStartTests],
  vfio_lock_acct: ofType1,
  mm_lock_acct: ofType1,
  __account_locked_vm: (c) => c[Slot.accountingUpdates],
  iommu_map: (c) => c[Slot.iommuMapCalls],
  iommu_map_nosync: (c) => c[Slot.iommuMapCalls],
  vtdss_map_range: (c) => c[Slot.iommuMapCalls],
  vtdss_unmap_range: (c) => c[Slot.iommuUnmapCalls],
  intel_iommu_map_pages: (c) => c[Slot.iommuMapPagesCalls],
  intel_iommu_map: (c) => c[Slot.iommuMapPagesCalls],
  vfio_remove_dma: (c) => c[Slot.removeDmaCalls],
  vfio_unmap_unpin: (c) => c[Slot.unmapUnpinCalls],
  iommu_iova_to_phys: (c) => c[Slot.iovaToPhysCalls],
  iommu_unmap: (c) => c[Slot.iommuUnmapSyncCalls],
  iommu_unmap_fast: (c) => c[Slot.iommuUnmapCalls] - c[Slot.iommuUnmapSyncCalls],
  intel_iommu_unmap_pages: (c) => c[Slot.iommuUnmapPagesCalls],
  intel_iommu_unmap: (c) => c[Slot.iommuUnmapPagesCalls],
  vfio_sync_unpin: (c) => c[Slot.syncUnpinCalls],
  intel_iommu_tlb_sync: (c) => c[Slot.iotlbSyncs] + c[Slot.iotlbGatherSyncs],
  cache_tag_flush_range: (c) => c[Slot.cacheTagFlushes],
  vfio_unpin_pages_remote: (c) => c[Slot.unpinPagesRemoteCalls],
  put_pfn: (c) => c[Slot.unwindPuts],
  unpin_user_page: (c) => c[Slot.unpinUserPageCalls],
  unpin_user_pages_dirty_lock: (c) =>
    c[Slot.unpinCalls] - c[Slot.unpinRangeCalls] - c[Slot.unpinUserPageCalls],
  unpin_user_page_range_dirty_lock: (c) => c[Slot.unpinRangeCalls],
  unpin_user_pages: (c) => c[Slot.unpinUserPagesCalls],
  vfio_iommu_type1_attach_group: (c) => c[Slot.attachGroupCalls],
  vfio_iommu_type1_detach_group: (c) => c[Slot.detachGroupCalls],
  vfio_iommu_type1_register_device: (c) => c[Slot.registerDeviceCalls],
  vfio_iommu_type1_unregister_device: (c) => c[Slot.unregisterDeviceCalls],
  vfio_iommu_type1_release: (c) => c[Slot.releaseCalls],
  vfio_pin_pages: (c) => c[Slot.externalPinCalls],
  vfio_iommu_type1_pin_pages: (c) => c[Slot.type1PinPagesCalls],
  vfio_unpin_pages: (c) => c[Slot.externalUnpinCalls],
  vfio_iommu_type1_unpin_pages: (c) => c[Slot.type1UnpinPagesCalls],
  vfio_unpin_page_external: (c) => c[Slot.unpinPageExternalCalls],
  vfio_dma_rw: (c) => c[Slot.dmaRwCalls],
  extpin_dma_unmap: (c) => c[Slot.dmaUnmapNotifications],
  vfio_dma_populate_bitmap: (c) => c[Slot.populateBitmapCalls],
  update_user_bitmap: (c) => c[Slot.updateUserBitmapCalls],
};

/** Of the charges of a process, those that type1 makes. */
function ofType1(counted: Float64Array, iommufd: IommufdCounts): number {
  return counted[Slot.accountingUpdates] - (iommufd.__account_locked_vm ?? 0);
}

const FUNCTION_LIST = Object.entries(FUNCTIONS);

/** Functions whose calls counters count. */
export const countedFunctions: ReadonlySet<string> = new Set(Object.keys(FUNCTIONS));

/**
 * Calls per kernel function.
 *
 * @param counted what the counters counted during a step, by their slots
 * @param rules mm rules of the kernel, which name a function
 * @param iommufd calls that iommufd has made, of its own functions and of others
 * @returns the functions that were called, with the number of calls
 * @source recordings README, "Recording format" (`calls`)
 */
export function kernelCalls(
  counted: Float64Array,
  rules: MmRules,
  iommufd: IommufdCounts = {},
): Record<string, number> {
  const calls: Record<string, number> = { ...iommufd };
  for (const [name, count] of FUNCTION_LIST) {
    const n = count(counted, iommufd);
    if (n !== 0) calls[name === 'follow_pfnmap_start' ? rules.pfnmapWalk : name] = n;
  }
  return calls;
}
