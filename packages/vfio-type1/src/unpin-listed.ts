/** Unpinning for algorithms that keep a list of what a mapping has pinned. */
import { Slot, type IovaPn, type Pfn } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import { vfioLockAcct } from './lock-acct.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** What a mapping has pinned, in the order of its addresses. */
export interface PinnedList {
  /** Pages that the last release has unpinned and that were charged. */
  readonly unlocked: number;
  /** Pages among them that devices have pinned too: these stay charged. */
  readonly locked: number;

  /**
   * Unpins pages.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage number of pages
   * @param count whether to count external pins in `locked`
   */
  release(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number, count: boolean): void;
}

/**
 * The step `unpinRegion` of a pin algorithm, out of a list.
 *
 * @param list what the mapping has pinned
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first I/O virtual page
 * @param pfn its page frame
 * @param npage number of pages
 * @param doAccounting whether to take their charge back
 * @returns pages unpinned that were charged
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote, 6.16
 */
export function unpinListed(
  list: PinnedList,
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
  list.release(iommu, dma, iovaPn, npage, doAccounting);
  const { unlocked, locked } = list;
  if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
  tracer?.exit('vfio_unpin_pages_remote', unlocked);
  return unlocked;
}
