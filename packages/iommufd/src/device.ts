/**
 * Devices: bound to an iommufd, attached to the domain of an I/O address space.
 *
 * Left out: groups of several devices, PASIDs, nested domains, faults.
 *
 * @source drivers/iommu/iommufd/device.c, 7.2; reference iommufd.md §11
 */
import { Errno } from '@pinfold/base';
import { canAttach, type IommuUnit } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import type { IommufdContext } from './context.ts';
import { IommufdHwptPaging, IommufdIoas } from './ioas.ts';
import type { IommufdObject, IommufdObjects } from './objects.ts';

/** A device that is bound. */
export class IommufdDevice implements IommufdObject {
  readonly type = 'device';
  readonly id: number;
  users = 0;
  /** The IOMMU that it is behind, with the reserved regions of its group. */
  readonly unit: IommuUnit;
  /** What it is attached to. */
  hwpt: IommufdHwptPaging | null = null;
  readonly #context: IommufdContext;
  readonly #objects: IommufdObjects;

  /**
   * @param context the iommufd
   * @param objects its objects
   * @param id its id
   * @param unit the IOMMU that it is behind
   */
  constructor(context: IommufdContext, objects: IommufdObjects, id: number, unit: IommuUnit) {
    this.#context = context;
    this.#objects = objects;
    this.id = id;
    this.unit = unit;
  }

  /**
   * Attaches it to a page table, or to the one of an I/O address space, which is made if there is none
   * that fits. An attached device changes over: what is new is pinned and charged before what is old
   * goes.
   *
   * @param ptId id of a page table or an I/O address space
   * @param current the calling process
   * @returns 0; -ENOENT; -EINVAL for another object; -EADDRINUSE where its reserved regions or the
   *   aperture meet mappings; what pinning, mapping and charging refuse with
   * @source drivers/iommu/iommufd/device.c iommufd_device_attach, iommufd_device_replace, 7.2;
   * recordings 7.2-iofd d05 and l08
   */
  attach(ptId: number, current: Task): number {
    const object = this.#objects.get(ptId);
    if (typeof object === 'number') return object;
    if (object instanceof IommufdHwptPaging) return this.#attachTo(object);
    if (object instanceof IommufdIoas) return this.#autoAttach(object, current);
    const { refusals } = this.#context;
    const check = 'iommufd_device_attach: an IOAS or a page table';
    return refusals.refuse(check, Errno.EINVAL, { id: ptId, found: object.type });
  }

  /** iommufd_device_auto_get_domain. */
  #autoAttach(ioas: IommufdIoas, current: Task): number {
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.auto) continue;
      const ret = this.#attachTo(hwpt);
      // A domain that the device's IOMMU cannot use: perhaps the next one.
      if (ret !== -Errno.EINVAL) return ret;
    }
    const context = this.#context;
    const hwpt = this.#objects.add(
      (id) => new IommufdHwptPaging(context, id, ioas, this.unit, true),
    );
    const { iopt } = ioas;
    const replaces = this.hwpt !== null;
    let ret = replaces ? 0 : this.#attachTo(hwpt);
    if (ret === 0) {
      ret = iopt.addDomain(hwpt.domain, current);
      if (ret === 0 && replaces) ret = this.#attachTo(hwpt);
      else if (ret !== 0 && !replaces) this.#leave();
    }
    if (ret !== 0 && this.hwpt !== hwpt && this.#objects.all.includes(hwpt))
      this.#objects.drop(hwpt);
    return ret;
  }

  /** iommufd_hw_pagetable_attach, or iommufd_device_do_replace for a device that is attached. */
  #attachTo(hwpt: IommufdHwptPaging): number {
    const old = this.hwpt;
    if (old === hwpt) return 0;
    const { iopt } = hwpt.ioas;
    if (old?.ioas !== hwpt.ioas) {
      const error = iopt.enforceDevResvRegions(this.unit.resvRegions, this);
      if (error !== 0) return error;
    }
    if (!canAttach(hwpt.domain, this.unit, this.#context.iommuRules)) {
      if (old?.ioas !== hwpt.ioas) iopt.removeReservedIova(this);
      return -Errno.EINVAL;
    }
    hwpt.users++;
    this.hwpt = hwpt;
    if (old) {
      if (old.ioas !== hwpt.ioas) old.ioas.iopt.removeReservedIova(this);
      this.#put(old);
    }
    return 0;
  }

  /** The device lets go of a page table that was never filled. */
  #leave(): void {
    const { hwpt } = this;
    if (!hwpt) return;
    hwpt.ioas.iopt.removeReservedIova(this);
    this.hwpt = null;
    hwpt.users--;
  }

  /** One user less; an automatic page table goes with the last. */
  #put(hwpt: IommufdHwptPaging): void {
    hwpt.users--;
    if (hwpt.auto && hwpt.users === 0) this.#objects.drop(hwpt);
  }

  /**
   * Detaches it; one that is not attached stays so.
   *
   * @source drivers/iommu/iommufd/device.c iommufd_device_detach, 7.2
   */
  detach(): void {
    const { hwpt } = this;
    if (!hwpt) return;
    this.hwpt = null;
    hwpt.ioas.iopt.removeReservedIova(this);
    this.#put(hwpt);
  }

  destroy(): void {
    this.detach();
  }
}
