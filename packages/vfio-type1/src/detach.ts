/**
 * Taking a device group out of a container.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group, vfio_iommu_unmap_unpin_all,
 * vfio_iommu_unmap_unpin_reaccount, 6.16; reference type1.md §9.3 and §11
 */
import { Slot } from '@pinfold/base';
import { removeDirtyScope } from './dirty.ts';
import { expandAperture, refreshReserved } from './iova-list.ts';
import { vfioLockAcct } from './lock-acct.ts';
import { isInvalidReservedPfn } from './put-pfn.ts';
import { vfioRemoveDma, vfioUnmapUnpin } from './remove-dma.ts';
import { isEmulated, type EmulatedGroup, type Type1Group } from './vfio-device.ts';
import type { VfioDma } from './dma.ts';
import { groupResvRegions, type IommuGroup, type VfioDomain } from './vfio-domain.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Detaches a group. With the last group of all goes every mapping. With the last group behind an
 * IOMMU the mappings stay for the groups without one: they are unmapped and unpinned, and charged
 * are the pages that devices have pinned.
 *
 * A domain without groups goes. The usable addresses widen: up to the apertures that are left if a
 * domain goes, and by the reserved regions that only this group had, unless they lie at the very
 * end of the list. What the group has written since the last read nobody knows: every mapping that
 * is left is dirty.
 *
 * @param iommu the container's state
 * @param group the group; one that is not attached changes nothing
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group, 6.16
 */
export function detachGroup(iommu: VfioIommu, group: Type1Group): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.detachGroupCalls, 1);
  tracer?.enter('vfio_iommu_type1_detach_group');
  if (isEmulated(group)) detachEmulatedGroup(iommu, group);
  else {
    const domain = iommu.domainList.find(({ groupList }) => groupList.includes(group));
    if (domain) detachIommuGroup(iommu, domain, group);
  }
  tracer?.exit('vfio_iommu_type1_detach_group');
}

function detachEmulatedGroup(iommu: VfioIommu, group: EmulatedGroup): void {
  const { emulatedGroups, domainList } = iommu;
  const at = emulatedGroups.indexOf(group);
  if (at < 0) return;
  emulatedGroups.splice(at, 1);
  if (emulatedGroups.length === 0 && domainList.length === 0) unmapUnpinAll(iommu);
}

function detachIommuGroup(iommu: VfioIommu, domain: VfioDomain, group: IommuGroup): void {
  const { domainList } = iommu;
  const { groupList } = domain;
  domain.domain.detachDevice(group.device);
  groupList.splice(groupList.indexOf(group), 1);
  let usable = iommu.iovaList;
  if (groupList.length === 0) {
    if (domainList.length === 1) leaveLastDomain(iommu);
    domainList.splice(domainList.indexOf(domain), 1);
    domain.domain.free();
    usable = expandAperture(
      usable,
      domainList.map((left) => ({
        start: left.domain.apertureFirst,
        last: left.domain.apertureLast,
      })),
      iommu.pageShift,
    );
    iommu.updatePgsizeBitmap();
  }
  const regions = domainList.flatMap((left) => left.groupList.flatMap(groupResvRegions));
  iommu.iovaList = refreshReserved(usable, regions) ?? iommu.iovaList;
  removeDirtyScope(iommu, group);
}

/** The mappings stay if a group without an IOMMU does; the domain is still in the list. */
function leaveLastDomain(iommu: VfioIommu): void {
  if (iommu.emulatedGroups.length === 0) unmapUnpinAll(iommu);
  else for (const dma of iommu.dmaList) unmapUnpinReaccount(iommu, dma);
}

/** Removes every mapping; no device can be open by then. */
function unmapUnpinAll(iommu: VfioIommu): void {
  const { dmaList, deviceList } = iommu;
  if (deviceList.length > 0)
    iommu.memory.warnOn('vfio_iommu_type1_detach_group', `${deviceList[0].name} is open`);
  for (let dma = dmaList.first(); dma; dma = dmaList.first()) vfioRemoveDma(iommu, dma);
}

/** Unmaps and unpins a mapping, and charges one page per page that devices have pinned of it. */
function unmapUnpinReaccount(iommu: VfioIommu, dma: VfioDma): void {
  const { memory, counters, rules } = iommu;
  const unlocked = vfioUnmapUnpin(iommu, dma, false);
  rules.pinAlgorithm.forget(iommu, dma);
  let nodes = 0;
  let locked = 0;
  for (const { pfn } of dma.pfnList) {
    nodes++;
    if (!isInvalidReservedPfn(memory.memmap, pfn)) locked++;
  }
  counters.add(Slot.reservedTests, nodes);
  vfioLockAcct(dma, locked - unlocked, true);
}
