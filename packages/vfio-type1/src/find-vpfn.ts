/**
 * Look-ups in the vpfn tree of a mapping, counted.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn, vfio_find_vpfn_range, 6.18; reference
 * type1.md §5.5
 */
import { Slot, type IovaPn } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Whether a device has pinned a page at exactly its start (vfio_find_vpfn).
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn I/O virtual page
 * @returns true if there is a node
 * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn, 6.16
 */
export function isPinnedExternally(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn): boolean {
  const tree = dma.pfnList;
  iommu.counters.add(Slot.vpfnLookups, 1);
  // In an empty tree, the common case, a look-up is the test of its root.
  if (tree.root === null) return false;
  tree.nodesVisited = 0;
  const found = tree.find(iovaPn) !== null;
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  return found;
}

/**
 * Whether a device has pinned something in a range of pages (vfio_find_vpfn_range): one look-up.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first I/O virtual page
 * @param npage length in pages
 * @returns true if there is a node
 * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn_range, 6.18
 */
export function isAnyPinnedExternally(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  npage: number,
): boolean {
  const tree = dma.pfnList;
  iommu.counters.add(Slot.vpfnLookups, 1);
  if (tree.root === null) return false;
  tree.nodesVisited = 0;
  const found = tree.findInRange(iovaPn, npage) !== null;
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  return found;
}
