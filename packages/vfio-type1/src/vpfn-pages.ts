/**
 * Counting the external pins of a range at once, as the series of 2025 does.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vpfn_pages, 6.18; reference type1.md §5.4
 */
import { Slot, type IovaPn } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Number of pages of a range that devices without an IOMMU have pinned: one look-up, counted.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first I/O virtual page
 * @param npage length in pages
 * @returns nodes of the mapping's vpfn tree whose address lies in the range
 * @source drivers/vfio/vfio_iommu_type1.c vpfn_pages, 6.18
 */
export function vpfnPages(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number): number {
  const tree = dma.pfnList;
  tree.nodesVisited = 0;
  const pages = tree.countInRange(iovaPn, npage);
  iommu.counters.add(Slot.vpfnLookups, 1);
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  return pages;
}
