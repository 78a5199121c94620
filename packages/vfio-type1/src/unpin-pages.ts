/**
 * Unpinning a region page by page: the loop up to 6.17.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.16; reference type1.md §6
 */
import { Slot, type IovaPn, type Pfn } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import { vfioLockAcct } from './lock-acct.ts';
import { putPfns, putPfnsTraced } from './put-pfn.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Unpins a physically contiguous region, page by page.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first I/O virtual page of the region
 * @param pfn its first page frame
 * @param npage its length in pages
 * @param doAccounting whether to take the charge back here
 * @returns pages unpinned whose charge is to be taken back
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.12 and 6.16
 */
export function unpinPages(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  doAccounting: boolean,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unpinPagesRemoteCalls, 1);
  tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
  if (tracer === null) putPfns(iommu, pfn, npage, dma.prot, dma.pfnList, iovaPn);
  else putPfnsTraced(iommu, pfn, npage, dma.prot, tracer, dma.pfnList, iovaPn);
  const { unlocked, locked } = iommu.put;
  if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
  tracer?.exit('vfio_unpin_pages_remote', unlocked);
  return unlocked;
}
