/**
 * Removing a mapping: unmap run by run, flush the IOTLB, unpin, take the charge back.
 *
 * The order unmap, IOTLB sync, unpin is what keeps the device from memory that is no longer pinned.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_remove_dma, vfio_unmap_unpin, unmap_unpin_fast,
 * unmap_unpin_slow, vfio_sync_unpin, 6.16; reference type1.md §7.2 and §7.3
 */
import { Slot, type IovaPn, type Pfn } from '@pinfold/base';
import { PhysRun, type IommuDomain } from '@pinfold/iommu';
import type { VfioDma } from './dma.ts';
import { vfioLockAcct } from './lock-acct.ts';
import { TLB_SYNC_MAX, UnmapRegions } from './unmap-regions.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Removes a mapping: nothing of it stays mapped, pinned or charged.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @source drivers/vfio/vfio_iommu_type1.c vfio_remove_dma, 6.16
 */
export function vfioRemoveDma(iommu: VfioIommu, dma: VfioDma): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.removeDmaCalls, 1);
  tracer?.enter('vfio_remove_dma', dma.iovaPn, dma.npage);
  if (dma.pfnList.root)
    iommu.memory.warnOn('vfio_remove_dma', 'a device still has pages of it pinned');
  vfioUnmapUnpin(iommu, dma, true);
  iommu.rules.pinAlgorithm.forget(iommu, dma);
  iommu.dmaList.erase(dma);
  if (dma.vaddrInvalid) iommu.vaddrInvalidCount--;
  iommu.dmaAvail++;
  tracer?.exit('vfio_remove_dma');
}

/**
 * Unmaps a mapping from every domain and unpins what the domains have had pinned. Without a domain
 * there is nothing to do: what devices without an IOMMU have pinned is theirs to give back.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param doAccounting whether to take the charge back here
 * @returns pages unpinned
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin, 6.16
 */
export function vfioUnmapUnpin(iommu: VfioIommu, dma: VfioDma, doAccounting: boolean): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unmapUnpinCalls, 1);
  tracer?.enter('vfio_unmap_unpin', doAccounting ? 1 : 0);
  const unlocked = unmapAndUnpin(iommu, dma);
  if (doAccounting) vfioLockAcct(dma, -unlocked, true);
  tracer?.exit('vfio_unmap_unpin');
  return unlocked;
}

/** Unmaps from all domains and unpins what the first one had; returns the pages unpinned. */
function unmapAndUnpin(iommu: VfioIommu, dma: VfioDma): number {
  if (dma.npage === 0 || iommu.domainList.length === 0) return 0;
  const [{ domain }, ...others] = iommu.domainList;
  for (const other of others) other.domain.unmap(dma.iovaPn, dma.npage);
  const regions = new UnmapRegions(dma.npage);
  const run = new PhysRun();
  let unlocked = 0;
  for (let pos = 0; pos < dma.npage;) {
    const iovaPn = dma.iovaPn + pos;
    iommu.rules.pinAlgorithm.nextUnmapRun(iommu, dma, iovaPn, dma.npage - pos, run);
    if (run.pfn === 0) {
      iommu.memory.warnOnce('vfio_unmap_unpin', `iova page ${iovaPn} of a mapping is not mapped`);
      pos++;
      continue;
    }
    const unmapped = unmapFast(iommu, domain, regions, iovaPn, run);
    if (unmapped === 0 || regions.count === TLB_SYNC_MAX)
      unlocked += syncUnpin(iommu, domain, dma, regions);
    if (unmapped > 0) {
      pos += unmapped;
      continue;
    }
    const slow = domain.unmap(iovaPn, run.npage);
    if (slow === 0) {
      iommu.memory.warnOnce('vfio_unmap_unpin', `iova page ${iovaPn} could not be unmapped`);
      break;
    }
    unlocked += unpin(iommu, dma, iovaPn, run.pfn, slow);
    pos += slow;
  }
  dma.iommuMapped = false;
  if (regions.count > 0) unlocked += syncUnpin(iommu, domain, dma, regions);
  return unlocked;
}

/** Unmaps a run and queues it; returns the pages unmapped, which may be more or less. */
function unmapFast(
  iommu: VfioIommu,
  domain: IommuDomain,
  regions: UnmapRegions,
  iovaPn: IovaPn,
  run: PhysRun,
): number {
  iommu.counters.add(Slot.regionAllocs, 1);
  const unmapped = domain.unmapFast(iovaPn, run.npage, regions.gather);
  if (unmapped > 0) {
    regions.iovaPn[regions.count] = iovaPn;
    regions.pfn[regions.count] = run.pfn;
    regions.npage[regions.count] = unmapped;
    regions.count++;
  }
  return unmapped;
}

/** Flushes the IOTLB, then unpins every waiting region (vfio_sync_unpin). */
function syncUnpin(
  iommu: VfioIommu,
  domain: IommuDomain,
  dma: VfioDma,
  regions: UnmapRegions,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.syncUnpinCalls, 1);
  tracer?.enter('vfio_sync_unpin', regions.count);
  domain.iotlbSync(regions.gather);
  let unlocked = 0;
  for (let i = 0; i < regions.count; i++) {
    unlocked += unpin(iommu, dma, regions.iovaPn[i], regions.pfn[i], regions.npage[i]);
  }
  regions.count = 0;
  tracer?.exit('vfio_sync_unpin', unlocked);
  return unlocked;
}

function unpin(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, pfn: Pfn, npage: number): number {
  return iommu.rules.pinAlgorithm.unpinRegion(iommu, dma, iovaPn, pfn, npage, false);
}
