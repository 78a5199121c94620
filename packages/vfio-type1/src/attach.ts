/**
 * Attaching device groups to a container and releasing them.
 *
 * A group joins the domain that exists if its IOMMU is like that domain's. A group behind another
 * kind of IOMMU would need a second domain in the container, which is refused.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group,
 * vfio_iommu_type1_detach_group, 6.16; reference type1.md §11
 */
import { Errno, InputError } from '@pinfold/base';
import {
  iommuPagingDomainAlloc,
  type IommuDomain,
  type IommuRules,
  type IommuUnit,
  type ResvRegion,
} from '@pinfold/iommu';
import { clipToAperture, excludeReserved } from './iova-list.ts';
import { vfioRemoveDma } from './remove-dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** A group of devices behind one IOMMU. */
export interface IommuGroup {
  /** Name, for messages. */
  readonly name: string;
  /** Its IOMMU. */
  readonly unit: IommuUnit;
  /** Reserved regions of its devices, besides the IOMMU's own. */
  readonly resvRegions?: readonly ResvRegion[];
}

/**
 * Attaches a group: finds or makes its domain and narrows the usable addresses.
 *
 * @param iommu the container's state
 * @param rules IOMMU rules of the kernel
 * @param group the group
 * @returns 0; -EBUSY while the vaddr of a mapping is invalid; -EINVAL if a mapping lies in a region
 *   that is reserved for the group, or no usable address is left
 * @throws {InputError} when the group would need a second domain
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.16
 */
export function attachGroup(iommu: VfioIommu, rules: IommuRules, group: IommuGroup): number {
  // Attaching may have to pin, which an invalid vaddr would not allow.
  if (iommu.vaddrInvalidCount > 0) {
    const detail = { group: group.name, vaddrInvalidCount: iommu.vaddrInvalidCount };
    return iommu.fail(Errno.EBUSY, 'vfio_iommu_type1_attach_group', detail);
  }
  const existing = iommu.domainList.at(0);
  if (existing && !sameIommu(existing, group.unit)) {
    throw new InputError(
      `group ${group.name}`,
      'an IOMMU like that of the groups before',
      describe(group.unit),
    );
  }
  const domain = existing ?? iommuPagingDomainAlloc(group.unit, rules, iommu.counters);
  const regions = [...group.unit.resvRegions, ...(group.resvRegions ?? [])];
  const conflict = regions.find(
    (region) =>
      region.type !== 'direct-relaxable' &&
      iommu.dmaList.find(region.start, region.last - region.start + 1),
  );
  if (conflict) {
    const detail = {
      group: group.name,
      region: conflict.type,
      startPn: conflict.start,
      lastPn: conflict.last,
    };
    return iommu.fail(Errno.EINVAL, 'vfio_iommu_resv_conflict', detail);
  }
  const clipped = clipToAperture(iommu.iovaList, { start: 0, last: domain.apertureLast });
  const usable = excludeReserved(clipped, regions);
  if (usable.length === 0)
    return iommu.fail(Errno.EINVAL, 'vfio_iommu_resv_exclude', { group: group.name });
  iommu.iovaList = usable;
  if (!existing) iommu.domainList.unshift(domain);
  iommu.pgsizeOrder = Math.max(...iommu.domainList.map(({ table }) => table.pageOrders[0]));
  return 0;
}

/**
 * What closing the container does: the last group leaves, and every mapping with it.
 *
 * @param iommu the container's state
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group, vfio_iommu_unmap_unpin_all, 6.16
 */
export function releaseAll(iommu: VfioIommu): void {
  for (let dma = iommu.dmaList.first(); dma; dma = iommu.dmaList.first()) vfioRemoveDma(iommu, dma);
  iommu.domainList.length = 0;
  iommu.iovaList = [];
}

function sameIommu({ unit }: IommuDomain, other: IommuUnit): boolean {
  return describe(unit) === describe(other);
}

function describe({ kind, addressWidth, superpageOrders, snoopControl }: IommuUnit): string {
  const snoop = snoopControl ? ', snoop control' : '';
  return `${kind}, ${addressWidth} bits, superpage orders ${superpageOrders.join('+')}${snoop}`;
}
