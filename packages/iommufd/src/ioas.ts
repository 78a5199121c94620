/**
 * IOAS and page tables (HWPT): the objects around an I/O address space and its domains.
 *
 * @source drivers/iommu/iommufd/iommufd_private.h struct iommufd_ioas, struct iommufd_hwpt_paging,
 * hw_pagetable.c, 7.2; reference iommufd.md §1 and §11
 */
import { iommuPagingDomainAlloc, type IommuDomain, type IommuUnit } from '@pinfold/iommu';
import { U64_MAX } from './uapi.ts';
import type { IommufdContext } from './context.ts';
import { IoPagetable } from './io-pagetable.ts';
import type { IommufdObject } from './objects.ts';

/** An I/O address space as an object. */
export class IommufdIoas implements IommufdObject {
  readonly type = 'ioas';
  readonly id: number;
  users = 0;
  /** Its mappings and domains. */
  readonly iopt: IoPagetable;
  /** Its page tables, in the order in which they were made. */
  readonly hwpts: IommufdHwptPaging[] = [];

  /**
   * @param context the iommufd
   * @param id its id
   */
  constructor(context: IommufdContext, id: number) {
    this.id = id;
    this.iopt = new IoPagetable(context);
  }

  /** iommufd_ioas_destroy: everything is unmapped. */
  destroy(): void {
    this.iopt.unmapIovaRange(0n, U64_MAX);
  }
}

/** A page table that devices use. */
export class IommufdHwptPaging implements IommufdObject {
  readonly type = 'hwpt';
  readonly id: number;
  users = 0;
  /** The I/O address space that fills it. */
  readonly ioas: IommufdIoas;
  /** The domain. */
  readonly domain: IommuDomain;
  /** Whether a device's attach has made it: it goes with the last device. */
  readonly auto: boolean;

  /**
   * @param context the iommufd
   * @param id its id
   * @param ioas the I/O address space
   * @param unit the IOMMU of the device that it is made for
   * @param auto whether a device's attach makes it
   * @source drivers/iommu/iommufd/hw_pagetable.c iommufd_hwpt_paging_alloc, 7.2
   */
  constructor(
    context: IommufdContext,
    id: number,
    ioas: IommufdIoas,
    unit: IommuUnit,
    auto: boolean,
  ) {
    this.id = id;
    this.ioas = ioas;
    this.auto = auto;
    this.domain = iommuPagingDomainAlloc(unit, context.iommuRules, context.memory.counters);
    ioas.users++;
    ioas.hwpts.push(this);
  }

  /** iommufd_hwpt_paging_destroy: the I/O address space has one domain less. */
  destroy(): void {
    const { iopt, hwpts } = this.ioas;
    if (iopt.domains.includes(this.domain)) iopt.removeDomain(this.domain);
    hwpts.splice(hwpts.indexOf(this), 1);
    this.ioas.users--;
  }
}
