/**
 * Attaching device groups to a container.
 *
 * A group joins a domain that its IOMMU can translate by too; otherwise it gets a domain of its own,
 * into which the mappings are replayed. A group without an IOMMU has no domain: it is only noted.
 *
 * Left out: the test for isolated interrupts.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.12 and 6.16;
 * reference type1.md §11
 */
import { Errno, Slot } from '@pinfold/base';
import {
  canAttach,
  iommuPagingDomainAlloc,
  type IommuRules,
  type ResvRegion,
} from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import { addDirtyScope } from './dirty.ts';
import { testDomainFgsp } from './fgsp.ts';
import { clipToAperture, excludeReserved, type IovaRange } from './iova-list.ts';
import { vfioIommuReplay } from './replay.ts';
import { isEmulated, type Type1Group } from './vfio-device.ts';
import { groupResvRegions, VfioDomain, type IommuGroup } from './vfio-domain.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** enum vfio_group_type, as a tracer sees it. */
const VFIO_IOMMU = 0;
const VFIO_EMULATED_IOMMU = 1;

/**
 * Attaches a group. One without an IOMMU is noted: it neither restricts addresses nor dirties pages
 * that it has not pinned. For another its domain is found or made, and the usable addresses narrow.
 *
 * @param iommu the container's state, unchanged on failure
 * @param rules IOMMU rules of the kernel
 * @param group the group
 * @param current the process that attaches it: mappings that no domain has yet are pinned under its
 *   RLIMIT_MEMLOCK; null: each under that of the process that made it
 * @returns 0; -EBUSY while the vaddr of a mapping is invalid; -EINVAL if the group is attached, a
 *   mapping lies outside the group's aperture or in a region that is reserved for it, no usable
 *   address is left, or the container is of the nesting type; an errno of iommu_map if a mapping
 *   cannot be replayed, or of the pin: -EFAULT, -ENOMEM
 * @throws {InputError} when the address width of the group's IOMMU is none that exists
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.12 and 6.16
 */
export function attachGroup(
  iommu: VfioIommu,
  rules: IommuRules,
  group: Type1Group,
  current: Task | null = null,
): number {
  const { tracer } = iommu.counters;
  const type = isEmulated(group) ? VFIO_EMULATED_IOMMU : VFIO_IOMMU;
  iommu.counters.add(Slot.attachGroupCalls, 1);
  tracer?.enter('vfio_iommu_type1_attach_group', type);
  let ret = checkAttach(iommu, group);
  if (ret === 0) {
    if (isEmulated(group)) iommu.emulatedGroups.push(group);
    else ret = attachIommuGroup(iommu, rules, group, current);
  }
  tracer?.exit('vfio_iommu_type1_attach_group', ret);
  return ret;
}

/** Attaching may have to pin, which an invalid vaddr would not allow; and a group comes but once. */
function checkAttach(iommu: VfioIommu, group: Type1Group): number {
  const at = 'vfio_iommu_type1_attach_group';
  const { vaddrInvalidCount, emulatedGroups, domainList } = iommu;
  if (vaddrInvalidCount > 0)
    return iommu.fail(Errno.EBUSY, at, { group: group.name, vaddrInvalidCount });
  const present = isEmulated(group)
    ? emulatedGroups.includes(group)
    : domainList.some(({ groupList }) => groupList.includes(group));
  return present ? iommu.fail(Errno.EINVAL, at, { group: group.name }) : 0;
}

/** Finds or makes the domain of a group behind an IOMMU. */
function attachIommuGroup(
  iommu: VfioIommu,
  rules: IommuRules,
  group: IommuGroup,
  current: Task | null,
): number {
  const made = iommuPagingDomainAlloc(group.unit, rules, iommu.counters);
  const domain = new VfioDomain(made);
  if (iommu.nesting) {
    // No driver that is modelled can nest a domain.
    made.free();
    return iommu.fail(iommu.rules.nestingErrno, 'iommu_enable_nesting', { group: group.name });
  }
  made.attachDevice(group.device);
  const ret = joinDomain(iommu, rules, group, domain, current);
  if (ret) {
    made.detachDevice(group.device);
    made.free();
  }
  return ret;
}

/** Checks the addresses, and finds the domain of a group that has one of its own for now. */
function joinDomain(
  iommu: VfioIommu,
  rules: IommuRules,
  group: IommuGroup,
  domain: VfioDomain,
  current: Task | null,
): number {
  const aperture = { start: domain.domain.apertureFirst, last: domain.domain.apertureLast };
  const regions = groupResvRegions(group);
  const conflict = aperConflict(iommu, group, aperture) || resvConflict(iommu, group, regions);
  if (conflict) return conflict;
  const usable = excludeReserved(clipToAperture(iommu.iovaList, aperture), regions);
  if (usable.length === 0)
    return iommu.fail(Errno.EINVAL, 'vfio_iommu_resv_exclude', { group: group.name });
  // The domain was made to ask it for its facts; one that serves the group makes it superfluous.
  const joined = findDomain(iommu, rules, domain, group);
  if (joined) {
    domain.domain.detachDevice(group.device);
    joined.domain.attachDevice(group.device);
    domain.domain.free();
  }
  const ret = joined ? 0 : addDomain(iommu, domain, usable, current);
  if (ret) return ret;
  (joined ?? domain).groupList.push(group);
  addDirtyScope(iommu);
  iommu.iovaList = usable;
  return 0;
}

/** Tests a new domain, fills it with the mappings, and puts it first. */
function addDomain(
  iommu: VfioIommu,
  domain: VfioDomain,
  usable: readonly IovaRange[],
  current: Task | null,
): number {
  if (iommu.rules.fgspTest)
    domain.fgsp = testDomainFgsp(iommu.memory.memmap, domain.domain, usable);
  const ret = vfioIommuReplay(iommu, domain.domain, current);
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

/** A domain of the container that serves a group: of the same driver and coherency, if it attaches. */
function findDomain(
  iommu: VfioIommu,
  rules: IommuRules,
  made: VfioDomain,
  { unit }: IommuGroup,
): VfioDomain | undefined {
  return iommu.domainList.find(
    ({ domain, enforceCacheCoherency }) =>
      domain.unit.kind === unit.kind &&
      enforceCacheCoherency === made.enforceCacheCoherency &&
      canAttach(domain, unit, rules),
  );
}
