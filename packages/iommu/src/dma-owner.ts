/**
 * Who a group's DMA belongs to: the kernel, which has it in a domain of its own since boot, or a user,
 * who takes it over blocked.
 *
 * @source drivers/iommu/iommu.c iommu_group_claim_dma_owner, iommu_group_release_dma_owner, 6.18
 */
import type { Counters } from '@pinfold/base';
import { iommuPagingDomainAlloc, type IommuUnit } from './domain.ts';
import type { IommuDevice } from './formats/format.ts';
import type { IommuRules } from './rules.ts';

/** A user of a group. */
export interface DmaOwner {
  /** Gives the group back to the kernel, which puts it into its domain of boot. */
  release(): void;
}

/**
 * Takes a group over: its device is blocked.
 *
 * @param unit its IOMMU
 * @param device its device
 * @param rules IOMMU rules of the kernel
 * @param counters counters to add to
 * @returns what gives it back
 * @source drivers/iommu/iommu.c iommu_group_claim_dma_owner, 6.18
 */
export function claimDmaOwner(
  unit: IommuUnit,
  device: IommuDevice,
  rules: IommuRules,
  counters: Counters,
): DmaOwner {
  // The domain and its device are there since boot: nothing of how they came is seen or counted.
  const boot = counters.values.slice();
  const { tracer } = counters;
  counters.tracer = null;
  const domainIds = { take: () => device.defaultDomain, give: () => undefined };
  const own = { ...unit, domainIds };
  delete own.domainAllocated;
  const domain = iommuPagingDomainAlloc(own, rules, counters);
  domain.attachDevice(device);
  counters.values.set(boot);
  counters.tracer = tracer;
  domain.detachDevice(device);
  return {
    release: () => {
      domain.attachDevice(device);
    },
  };
}
