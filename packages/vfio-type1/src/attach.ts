/**
 * Attaching device groups to a container.
 *
 * A group joins the domain of a group whose IOMMU is like its own; a group behind another kind of
 * IOMMU gets a domain of its own, into which the mappings are replayed.
 *
 * Left out: devices without an IOMMU, and the test for isolated interrupts.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.12 and 6.16;
 * reference type1.md §11
 */
import { Errno } from '@pinfold/base';
import {
  iommuPagingDomainAlloc,
  type IommuRules,
  type IommuUnit,
  type ResvRegion,
} from '@pinfold/iommu';
import { addDirtyScope } from './dirty.ts';
import { testDomainFgsp } from './fgsp.ts';
import { clipToAperture, excludeReserved, type IovaRange } from './iova-list.ts';
import { vfioIommuReplay } from './replay.ts';
import { groupResvRegions, VfioDomain, type IommuGroup } from './vfio-domain.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Attaches a group: finds or makes its domain and narrows the usable addresses.
 *
 * @param iommu the container's state, unchanged on failure
 * @param rules IOMMU rules of the kernel
 * @param group the group
 * @returns 0; -EBUSY while the vaddr of a mapping is invalid; -EINVAL if a mapping lies outside the
 *   group's aperture or in a region that is reserved for it, no usable address is left, or the
 *   container is of the nesting type; an errno of iommu_map if a mapping cannot be replayed
 * @throws {InputError} when the address width of the group's IOMMU is none that exists
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.12 and 6.16
 */
export function attachGroup(iommu: VfioIommu, rules: IommuRules, group: IommuGroup): number {
  // Attaching may have to pin, which an invalid vaddr would not allow.
  if (iommu.vaddrInvalidCount > 0) {
    const detail = { group: group.name, vaddrInvalidCount: iommu.vaddrInvalidCount };
    return iommu.fail(Errno.EBUSY, 'vfio_iommu_type1_attach_group', detail);
  }
  const domain = new VfioDomain(iommuPagingDomainAlloc(group.unit, rules, iommu.counters));
  if (iommu.nesting) {
    // No driver that is modelled can nest a domain.
    return iommu.fail(Errno.EINVAL, 'iommu_enable_nesting', { group: group.name });
  }
  const aperture = { start: 0, last: domain.domain.apertureLast };
  const regions = groupResvRegions(group);
  const conflict = aperConflict(iommu, group, aperture) || resvConflict(iommu, group, regions);
  if (conflict) return conflict;
  const usable = excludeReserved(clipToAperture(iommu.iovaList, aperture), regions);
  if (usable.length === 0)
    return iommu.fail(Errno.EINVAL, 'vfio_iommu_resv_exclude', { group: group.name });
  const joined = iommu.domainList.find((known) => sameIommu(known.domain.unit, group.unit));
  const ret = joined ? 0 : addDomain(iommu, domain, usable);
  if (ret) return ret;
  (joined ?? domain).groupList.push(group);
  addDirtyScope(iommu);
  iommu.iovaList = usable;
  return 0;
}

/** Tests a new domain, fills it with the mappings, and puts it first. */
function addDomain(iommu: VfioIommu, domain: VfioDomain, usable: readonly IovaRange[]): number {
  if (iommu.rules.fgspTest)
    domain.fgsp = testDomainFgsp(iommu.memory.memmap, domain.domain, usable);
  const ret = vfioIommuReplay(iommu, domain.domain);
  if (ret) return ret;
  iommu.domainList.unshift(domain);
  iommu.updatePgsizeBitmap();
  return 0;
}

/** The aperture of a new domain must hold every mapping, and some of the usable addresses. */
function aperConflict(iommu: VfioIommu, group: IommuGroup, aperture: IovaRange): number {
  const { iovaList, dmaList } = iommu;
  if (iovaList.length === 0) return 0;
  const first = iovaList[0].start;
  const { last } = iovaList[iovaList.length - 1];
  const dma =
    (aperture.start > first ? dmaList.find(first, aperture.start - first) : null) ??
    (aperture.last < last ? dmaList.find(aperture.last + 1, last - aperture.last) : null);
  if (aperture.start <= last && aperture.last >= first && !dma) return 0;
  return iommu.fail(Errno.EINVAL, 'vfio_iommu_aper_conflict', {
    group: group.name,
    apertureLastPn: aperture.last,
    ...(dma && { dmaIovaPn: dma.iovaPn, dmaPages: dma.npage }),
  });
}

/** No mapping may lie in a region that is reserved for the group. */
function resvConflict(iommu: VfioIommu, group: IommuGroup, regions: readonly ResvRegion[]): number {
  const region = regions.find(
    ({ type, start, last }) =>
      type !== 'direct-relaxable' && iommu.dmaList.find(start, last - start + 1),
  );
  if (!region) return 0;
  return iommu.fail(Errno.EINVAL, 'vfio_iommu_resv_conflict', {
    group: group.name,
    region: region.type,
    startPn: region.start,
    lastPn: region.last,
  });
}

/** Whether the domain of one IOMMU serves a group behind another. */
function sameIommu(a: IommuUnit, b: IommuUnit): boolean {
  return (
    a.kind === b.kind &&
    a.addressWidth === b.addressWidth &&
    a.snoopControl === b.snoopControl &&
    a.superpageOrders.join() === b.superpageOrders.join()
  );
}
