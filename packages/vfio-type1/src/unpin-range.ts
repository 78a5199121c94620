/**
 * Unpinning a region as the series of 2025 does: external pins counted once for all of it, and the
 * pages put as a range.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.18; reference type1.md §6,
 * strategies.md (g)
 */
import { Slot, type IovaPn, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { unpinUserPageRangeDirtyLock } from '@pinfold/mm';
import type { VfioDma } from './dma.ts';
import { vfioLockAcct } from './lock-acct.ts';
import type { PinAlgorithm } from './pin-algorithm.ts';
import { putPfns, putPfnsTraced } from './put-pfn.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { vpfnPages } from './vpfn-pages.ts';

/**
 * Puts a region's pages.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param pfn first page frame
 * @param npage number of pages
 * @returns pages unpinned
 */
export type PutRegion = (iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number) => number;

/**
 * Unpins a region, external pins counted once. It counts those on reserved pages too, which are not
 * unpinned: with accounting, a page is then charged that nobody gives back.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first I/O virtual page of the region
 * @param pfn its first page frame
 * @param npage its length in pages
 * @param doAccounting whether to take the charge back here
 * @param put how the pages are put
 * @returns pages unpinned whose charge is to be taken back
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.18
 */
export function unpinCountedOnce(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  doAccounting: boolean,
  put: PutRegion,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unpinPagesRemoteCalls, 1);
  tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
  const locked = vpfnPages(iommu, dma, iovaPn, npage);
  const unlocked = put(iommu, dma, pfn, npage);
  if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
  tracer?.exit('vfio_unpin_pages_remote', unlocked);
  return unlocked;
}

/**
 * {@link PinAlgorithm.unpinRegion} of patch 2: one look-up per region, pages put one by one.
 *
 * @source Li Zhe, patch 2/4 of 30 June 2025
 */
export const unpinEach: PinAlgorithm['unpinRegion'] = (
  iommu,
  dma,
  iovaPn,
  pfn,
  npage,
  doAccounting,
) => unpinCountedOnce(iommu, dma, iovaPn, pfn, npage, doAccounting, putEach);

/**
 * {@link PinAlgorithm.unpinRegion} of patch 4: the region is put as a range, unless some chunk of the
 * mapping was reserved.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.18
 */
export const unpinRange: PinAlgorithm['unpinRegion'] = (
  iommu,
  dma,
  iovaPn,
  pfn,
  npage,
  doAccounting,
) => unpinCountedOnce(iommu, dma, iovaPn, pfn, npage, doAccounting, putRange);

function putEach(iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number): number {
  const { tracer } = iommu.counters;
  if (tracer === null) putPfns(iommu, pfn, npage, dma.prot);
  else putPfnsTraced(iommu, pfn, npage, dma.prot, tracer);
  return iommu.put.unlocked;
}

function putRange(iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number): number {
  if (dma.hasRsvd) return putEach(iommu, dma, pfn, npage);
  const { memory } = iommu;
  const dirty = (dma.prot & IOMMU.WRITE) !== 0;
  unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(pfn), npage, dirty);
  return npage;
}
