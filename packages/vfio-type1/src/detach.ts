/**
 * Taking a device group out of a container.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group, vfio_iommu_unmap_unpin_all,
 * 6.16; reference type1.md §11
 */
import { removeDirtyScope } from './dirty.ts';
import { expandAperture, refreshReserved } from './iova-list.ts';
import { vfioRemoveDma } from './remove-dma.ts';
import { groupResvRegions, type IommuGroup } from './vfio-domain.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Detaches a group. A domain without groups goes, and with the last domain goes every mapping. The
 * usable addresses widen: up to the apertures that are left if a domain goes, and by the reserved
 * regions that only this group had, unless they lie at the very end of the list. What the group has
 * written since the last read nobody knows: every mapping that is left is dirty.
 *
 * @param iommu the container's state
 * @param group the group; one that is not attached changes nothing
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group, 6.16
 */
export function detachGroup(iommu: VfioIommu, group: IommuGroup): void {
  const { domainList } = iommu;
  const at = domainList.findIndex(({ groupList }) => groupList.includes(group));
  if (at < 0) return;
  const { groupList } = domainList[at];
  groupList.splice(groupList.indexOf(group), 1);
  let usable = iommu.iovaList;
  if (groupList.length === 0) {
    if (domainList.length === 1) unmapUnpinAll(iommu);
    domainList.splice(at, 1);
    usable = expandAperture(
      usable,
      domainList.map(({ domain }) => ({ start: 0, last: domain.apertureLast })),
    );
    iommu.updatePgsizeBitmap();
  }
  const regions = domainList.flatMap((domain) => domain.groupList.flatMap(groupResvRegions));
  iommu.iovaList = refreshReserved(usable, regions) ?? iommu.iovaList;
  removeDirtyScope(iommu, group);
}

function unmapUnpinAll(iommu: VfioIommu): void {
  for (let dma = iommu.dmaList.first(); dma; dma = iommu.dmaList.first()) vfioRemoveDma(iommu, dma);
}
