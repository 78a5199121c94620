/**
 * Who is in a container: device groups, the IOMMU driver that comes with them, and open devices.
 *
 * @source drivers/vfio/container.c, drivers/vfio/group.c, 6.16; reference type1.md §11
 */
import { Errno, KernelError, Slot } from '@pinfold/base';
import { claimDmaOwner, type DmaOwner, type IommuDomain } from '@pinfold/iommu';
import type { Memory, Task } from '@pinfold/mm';
import { attachGroup } from './attach.ts';
import { checkExtension } from './check-extension.ts';
import { detachGroup } from './detach.ts';
import { registerDevice, unregisterDevice } from './device-list.ts';
import { LATEST_TYPE1_KERNEL } from './latest-kernel.ts';
import type { Type1Kernel, Type1Rules } from './rules.ts';
import {
  VFIO_NOIOMMU_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
} from './uapi.ts';
import { isEmulated, isNoIommu, type VfioDevice, type VfioGroup } from './vfio-device.ts';
import { DEFAULT_MODULE_PARAMS, VfioIommu, type ModuleParams } from './vfio-iommu.ts';

/** What a container is opened with. */
export interface ContainerOptions {
  /** The kernel, whose mm rules the memory was made with; default: the newest. */
  readonly kernel?: Type1Kernel;
  /** The machine's memory. */
  readonly memory: Memory;
  /**
   * Module parameters; default: the module's defaults. The object is read when the kernel reads its
   * parameters, so that changing it is what a write to sysfs is.
   */
  readonly params?: Partial<ModuleParams>;
  /** Replaces parts of the kernel's type1 rules, for example the pin algorithm. */
  readonly type1?: Partial<Type1Rules>;
}

/** Groups, driver and open devices of a container. */
export abstract class ContainerGroups {
  /** The machine's memory. */
  protected readonly memory: Memory;
  /** State of the IOMMU driver; null before VFIO_SET_IOMMU. */
  protected state: VfioIommu | null = null;
  /** Whether VFIO_SET_IOMMU has given it the driver of no-IOMMU groups, which maps nothing. */
  protected hasNoIommuDriver = false;
  readonly #kernel: Type1Kernel;
  readonly #rules: Type1Rules;
  readonly #params: ModuleParams;
  readonly #groups: VfioGroup[] = [];
  /** What gives groups their domain back. */
  readonly #owners = new Map<VfioGroup, DmaOwner>();
  /** Device files that are open; a device that is open twice is in it twice. */
  readonly #open: VfioDevice[] = [];

  /** @param options kernel, memory and module parameters */
  constructor(options: ContainerOptions) {
    this.memory = options.memory;
    this.#kernel = options.kernel ?? LATEST_TYPE1_KERNEL;
    this.#rules = { ...this.#kernel.type1, ...options.type1 };
    this.#params = liveParams(options.params ?? {});
  }

  /** Whether VFIO_SET_IOMMU has been done, so that there is a type1 state. */
  get hasIommu(): boolean {
    return this.state !== null;
  }

  /** Whether its groups wait for a driver behind an empty page table. */
  get blocksByEmptyTable(): boolean {
    return this.state === null && this.#kernel.iommu.blocksByEmptyTable;
  }

  /** type1 rules of the kernel, and what replaces them. */
  protected get rules(): Type1Rules {
    return this.#rules;
  }

  /**
   * The type1 state, for looking at it.
   *
   * @returns the state
   * @throws {KernelError} EINVAL before VFIO_SET_IOMMU
   */
  get iommu(): VfioIommu {
    if (!this.state) throw new KernelError('VFIO_IOMMU_*', Errno.EINVAL, 'vfio_fops_unl_ioctl');
    return this.state;
  }

  /**
   * The domain that translates for a group.
   *
   * @param group the group
   * @returns its IOMMU domain; null before VFIO_SET_IOMMU, and for a group that is not in or has no
   *   IOMMU
   */
  domainOf(group: VfioGroup): IommuDomain | null {
    const domains = this.state?.domainList ?? [];
    return (
      domains.find(({ groupList }) => groupList.some((known) => known === group))?.domain ?? null
    );
  }

  /**
   * Adds a group (VFIO_GROUP_SET_CONTAINER); before VFIO_SET_IOMMU it only waits for it.
   *
   * @param group the group
   * @param current the process that adds it, whose RLIMIT_MEMLOCK counts where the group's IOMMU is
   *   the first and mappings wait to be pinned; default: each mapping's own process
   * @throws {KernelError} EINVAL when the group is in the container, or a mapping lies outside its
   *   aperture or in a region that is reserved for it; EPERM when it has an IOMMU
   *   and the others have none, or the other way round; EBUSY while the vaddr of a mapping is
   *   invalid; EFAULT, ENOMEM and errors of the IOMMU when mappings have to be pinned and cannot be
   * @source drivers/vfio/container.c vfio_container_attach_group, 6.16
   */
  addGroup(group: VfioGroup, current: Task | null = null): void {
    const op = 'VFIO_GROUP_SET_CONTAINER';
    if (this.#groups.includes(group)) {
      const detail = { group: group.name };
      throw new KernelError(op, Errno.EINVAL, 'vfio_group_ioctl_set_container', detail);
    }
    const [first] = this.#groups;
    if (first && isNoIommu(first) !== isNoIommu(group)) {
      const detail = { group: group.name, noIommu: isNoIommu(group) };
      throw new KernelError(op, Errno.EPERM, 'vfio_container_attach_group', detail);
    }
    const owner = this.#claim(group);
    if (this.state && !isNoIommu(group)) {
      const ret = attachGroup(this.state, this.#kernel.iommu, group, current);
      if (ret < 0) owner?.release();
      throwUnless(ret, op, this.state.failure);
    }
    if (owner) this.#owners.set(group, owner);
    this.#groups.push(group);
  }

  /**
   * Takes a group out (VFIO_GROUP_UNSET_CONTAINER). With the last one goes the IOMMU driver: every
   * mapping is unmapped, unpinned and uncharged, and VFIO_SET_IOMMU is needed again.
   *
   * @param group the group
   * @throws {KernelError} EINVAL when the group is not in the container; EBUSY when a device of it is
   *   open
   * @source drivers/vfio/group.c vfio_group_ioctl_unset_container, drivers/vfio/container.c
   * vfio_group_detach_container, 6.16
   */
  removeGroup(group: VfioGroup): void {
    const op = 'VFIO_GROUP_UNSET_CONTAINER';
    const at = this.#groups.indexOf(group);
    const refuse = (errno: number, detail: Readonly<Record<string, string>>): never => {
      throw new KernelError(op, errno, 'vfio_group_ioctl_unset_container', detail);
    };
    if (at < 0) refuse(Errno.EINVAL, { group: group.name });
    const open = this.#open.find((device) => device.group === group);
    if (open) refuse(Errno.EBUSY, { group: group.name, open: open.name });
    if (this.state && !isNoIommu(group)) detachGroup(this.state, group);
    this.#groups.splice(at, 1);
    if (this.#groups.length === 0) this.#release();
    this.#owners.get(group)?.release();
    this.#owners.delete(group);
  }

  /**
   * Opens a device of a group (VFIO_GROUP_GET_DEVICE_FD): from now on it is told of unmaps, and may
   * pin pages.
   *
   * @param device the device
   * @throws {KernelError} EINVAL when its group is not in the container, or before VFIO_SET_IOMMU
   * @source drivers/vfio/group.c vfio_df_group_open, drivers/vfio/container.c
   * vfio_device_container_register, 6.16
   */
  openDevice(device: VfioDevice): void {
    const op = 'VFIO_GROUP_GET_DEVICE_FD';
    const detail = { device: device.name };
    if (!this.#groups.includes(device.group))
      throw new KernelError(op, Errno.EINVAL, 'vfio_df_group_open', detail);
    if (!this.state && !this.hasNoIommuDriver)
      throw new KernelError(op, Errno.EINVAL, 'vfio_group_use_container', detail);
    if (this.state && !this.#open.includes(device)) registerDevice(this.state, device);
    this.#open.push(device);
  }

  /**
   * Closes a device. What it has pinned it is to have given back before.
   *
   * @param device the device; one that is not open changes nothing
   * @source drivers/vfio/container.c vfio_device_container_unregister, 6.16
   */
  closeDevice(device: VfioDevice): void {
    const at = this.#open.indexOf(device);
    if (at < 0) return;
    this.#open.splice(at, 1);
    if (this.state && !this.#open.includes(device)) unregisterDevice(this.state, device);
  }

  /**
   * VFIO_CHECK_EXTENSION, before VFIO_SET_IOMMU too.
   *
   * @param extension number of the extension, or a type of VFIO_SET_IOMMU
   * @returns 1 or 0
   * @source drivers/vfio/container.c vfio_container_ioctl_check_extension, 6.16
   */
  checkExtension(extension: number): number {
    return checkExtension(this.#rules, this.state, extension);
  }

  /**
   * VFIO_SET_IOMMU: gives the container its IOMMU driver and attaches its groups.
   *
   * @param type VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, or another extension
   * @throws {KernelError} EINVAL without a group, when it is set already, for an extension that is
   *   no type, and for the nesting type where the driver still offers it; ENODEV for what is no
   *   extension
   * @source drivers/vfio/container.c vfio_ioctl_set_iommu, 6.16
   */
  setIommu(type: number): void {
    const op = 'VFIO_SET_IOMMU';
    if (this.state || this.hasNoIommuDriver || this.#groups.length === 0) {
      const detail = {
        groups: this.#groups.length,
        set: this.state !== null || this.hasNoIommuDriver,
      };
      throw new KernelError(op, Errno.EINVAL, 'vfio_ioctl_set_iommu', detail);
    }
    if (this.#groups.every(isNoIommu)) {
      this.#setNoIommu(type);
      return;
    }
    // The driver is asked for the extension first, and only then opened with it as a type.
    if (this.checkExtension(type) === 0) {
      throw new KernelError(op, Errno.ENODEV, 'vfio_ioctl_set_iommu', { type });
    }
    const nesting = type === VFIO_TYPE1_NESTING_IOMMU;
    const v2 = type === VFIO_TYPE1v2_IOMMU || nesting;
    if (!v2 && type !== VFIO_TYPE1_IOMMU) {
      throw new KernelError(op, Errno.EINVAL, 'vfio_iommu_type1_open', { type });
    }
    const iommu = new VfioIommu(this.memory, this.#rules, this.#params, v2, nesting);
    for (const group of this.#groups) {
      if (isNoIommu(group)) continue;
      throwUnless(attachGroup(iommu, this.#kernel.iommu, group), op, iommu.failure);
    }
    this.state = iommu;
  }

  /**
   * Closes the container: its devices are closed and its groups leave, so that every mapping is
   * unmapped, unpinned and uncharged.
   */
  close(): void {
    for (const group of [...this.#groups]) {
      for (const device of [...this.#open]) if (device.group === group) this.closeDevice(device);
      this.removeGroup(group);
    }
  }

  /**
   * The state that the calls of a device work on.
   *
   * @param device the device
   * @returns the state; null unless the device is open
   */
  protected stateOf(device: VfioDevice): VfioIommu | null {
    return this.#open.includes(device) ? this.state : null;
  }

  /**
   * The driver of no-IOMMU groups is the only one that is asked, and has its type while the module
   * parameter is set.
   *
   * @source drivers/vfio/container.c vfio_iommu_driver_allowed, vfio_noiommu_ioctl, 6.16
   */
  #setNoIommu(type: number): void {
    if (type !== VFIO_NOIOMMU_IOMMU || !this.#params.enableUnsafeNoiommuMode) {
      const detail = { type, noIommu: true };
      throw new KernelError('VFIO_SET_IOMMU', Errno.ENODEV, 'vfio_ioctl_set_iommu', detail);
    }
    this.hasNoIommuDriver = true;
  }

  /** The group leaves the domain that it has at boot, and is blocked (iommu_group_claim_dma_owner). */
  #claim(group: VfioGroup): DmaOwner | undefined {
    if (isEmulated(group) || isNoIommu(group) || !group.device) return undefined;
    return claimDmaOwner(group.unit, group.device, this.#kernel.iommu, this.memory.counters);
  }

  /** The IOMMU driver goes. */
  #release(): void {
    const { counters, tracer } = this.memory;
    if (this.state) {
      counters.add(Slot.releaseCalls, 1);
      tracer?.enter('vfio_iommu_type1_release');
      tracer?.exit('vfio_iommu_type1_release');
    }
    this.state = null;
    this.hasNoIommuDriver = false;
  }
}

/** Parameters that are those of an object at the time of reading, with the module's defaults. */
function liveParams(given: Partial<ModuleParams>): ModuleParams {
  return {
    get disableHugepages() {
      return given.disableHugepages ?? DEFAULT_MODULE_PARAMS.disableHugepages;
    },
    get enableUnsafeNoiommuMode() {
      return given.enableUnsafeNoiommuMode ?? false;
    },
    get dmaEntryLimit() {
      return given.dmaEntryLimit ?? DEFAULT_MODULE_PARAMS.dmaEntryLimit;
    },
  };
}

/**
 * Throws what a call returned, if it is an error.
 *
 * @param ret what the call returned
 * @param op the operation in its UAPI spelling, or the function's name
 * @param failure the check that failed, if it is known
 * @throws {KernelError} for a negative result
 */
export function throwUnless(ret: number, op: string, failure: VfioIommu['failure']): void {
  if (ret < 0) throw new KernelError(op, ret, failure?.at ?? op, failure?.detail);
}
