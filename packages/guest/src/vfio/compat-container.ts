/**
 * A VFIO container that is an iommufd: the kernel has no other (VFIO_CONTAINER=n), or the process
 * has opened /dev/iommu as one.
 *
 * Left out: emulated devices.
 *
 * @source drivers/vfio/group.c, drivers/vfio/iommufd.c, drivers/iommu/iommufd/vfio_compat.c, 7.2;
 * README-iofd, "Compat container"
 */
import { Errno, InputError, KernelError } from '@pinfold/base';
import type { IommuDomain } from '@pinfold/iommu';
import {
  refusalText,
  VfioCompat,
  type CompatMap,
  type CompatUnmap,
  type Iommufd,
  type IommufdDevice,
} from '@pinfold/iommufd';
import type { Task } from '@pinfold/mm';
import {
  isEmulated,
  type DirtyResult,
  type InfoResult,
  type IoctlResult,
  type UnmapResult,
  type VfioContainer,
  type VfioDevice,
  type VfioGroup,
} from '@pinfold/vfio-type1';

/** VFIO_IOMMU_INFO_PGSIZES and VFIO_IOMMU_INFO_CAPS. */
const INFO_FLAGS = 3;
/** Offset of the first capability. */
const CAP_OFFSET = 24;
/** Room for every capability, in bytes. */
const AMPLE_ARGSZ = 8192;
/** What the dma_avail capability says: there is no limit. */
const U32_MAX = 0xffff_ffff;

/** What operations of a scenario ask of a container, whoever answers. */
export type GuestContainer = Pick<
  VfioContainer,
  | 'hasIommu'
  | 'blocksByEmptyTable'
  | 'addGroup'
  | 'removeGroup'
  | 'openDevice'
  | 'closeDevice'
  | 'domainOf'
  | 'checkExtension'
  | 'setIommu'
  | 'tryMapDma'
  | 'tryUnmapDma'
  | 'tryGetInfo'
  | 'tryDirtyPages'
>;

/** A container that an iommufd answers for. */
export class CompatContainer implements GuestContainer {
  readonly #compat: VfioCompat;
  readonly #current: () => Task;
  readonly #groups: VfioGroup[] = [];
  /** Devices that are open, and with that bound and attached. */
  readonly #bound = new Map<VfioDevice, IommufdDevice>();
  /** Whether the process has closed the container's file, which its groups keep open. */
  #closed = false;

  /**
   * @param fd the iommufd
   * @param current the process that calls
   */
  constructor(fd: Iommufd, current: () => Task) {
    this.#compat = new VfioCompat(fd);
    this.#current = current;
  }

  /** The iommufd. */
  get fd(): Iommufd {
    return this.#compat.fd;
  }

  /** Whether GET_INFO answers: VFIO_SET_IOMMU may be left out. */
  get hasIommu(): boolean {
    return this.fd.vfioIoas !== null;
  }

  /** A device that nobody has opened has the empty table that it has at boot. */
  get blocksByEmptyTable(): boolean {
    return this.#bound.size === 0;
  }

  /**
   * VFIO_GROUP_SET_CONTAINER: nothing is attached before a device is opened.
   *
   * @param group the group
   * @throws {InputError} for an emulated group
   * @source drivers/vfio/group.c vfio_group_ioctl_set_container, 7.2
   */
  addGroup(group: VfioGroup): void {
    if (!('unit' in group)) {
      const wanted = 'a group behind an IOMMU in a container of iommufd';
      throw new InputError(
        `dev=${group.name}`,
        wanted,
        isEmulated(group) ? 'an emulated one' : 'one without an IOMMU',
      );
    }
    this.#compat.createIoas();
    this.#groups.push(group);
  }

  /**
   * VFIO_GROUP_UNSET_CONTAINER: mappings stay.
   *
   * @param group the group
   */
  removeGroup(group: VfioGroup): void {
    const at = this.#groups.indexOf(group);
    if (at >= 0) this.#groups.splice(at, 1);
    this.#release();
  }

  /**
   * VFIO_GROUP_GET_DEVICE_FD: the device is bound, and attached to the domain, into which all that is
   * mapped is pinned.
   *
   * @param device the device
   * @throws {KernelError} what attaching it refuses with
   * @source drivers/vfio/group.c vfio_df_group_open, drivers/vfio/iommufd.c
   * vfio_iommufd_compat_attach_ioas, 7.2
   */
  openDevice(device: VfioDevice): void {
    const { group } = device;
    if (!('unit' in group) || this.#bound.has(device)) return;
    const bound = this.fd.bind(group.unit);
    const ret = this.fd.attach(this.#current(), bound, this.#compat.createIoas().id);
    if (ret === 0) {
      this.#bound.set(device, bound);
      return;
    }
    const { at, detail } = this.#result(ret);
    this.fd.unbind(bound);
    throw new KernelError('VFIO_GROUP_GET_DEVICE_FD', -ret, at, detail);
  }

  /**
   * The device's file is closed: its binding ends, and with the last device's everything is unpinned.
   *
   * @param device the device
   */
  closeDevice(device: VfioDevice): void {
    const bound = this.#bound.get(device);
    if (!bound) return;
    this.#bound.delete(device);
    this.fd.unbind(bound);
  }

  /**
   * The domain that translates for a group.
   *
   * @param group the group
   * @returns its domain; null while none of its devices is open
   */
  domainOf(group: VfioGroup): IommuDomain | null {
    for (const [device, bound] of this.#bound) {
      if (device.group === group) return bound.hwpt?.domain ?? null;
    }
    return null;
  }

  /**
   * VFIO_CHECK_EXTENSION.
   *
   * @param extension its number
   * @returns 1, 0 or a negative errno
   */
  checkExtension(extension: number): number {
    return this.#compat.checkExtension(extension);
  }

  /**
   * VFIO_SET_IOMMU.
   *
   * @param type the type
   * @throws {KernelError} EINVAL or ENODEV
   */
  setIommu(type: number): void {
    const { ret, at, detail } = this.#result(this.#compat.setIommu(type));
    if (ret < 0) throw new KernelError('VFIO_SET_IOMMU', -ret, at, detail);
  }

  /**
   * VFIO_IOMMU_MAP_DMA.
   *
   * @param current the calling process
   * @param map the structure
   * @returns 0 or a negative errno, and the check that failed
   */
  tryMapDma(current: Task, map: CompatMap): IoctlResult {
    return this.#result(this.#compat.mapDma(current, map));
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA; dirty bitmaps are refused.
   *
   * @param unmap the structure
   * @returns 0 or a negative errno, the check that failed, and the size in the structure
   */
  tryUnmapDma(unmap: CompatUnmap): UnmapResult {
    const { ret, size } = this.#compat.unmapDma(unmap);
    return { ...this.#result(ret), size, bitmap: null };
  }

  /**
   * VFIO_IOMMU_GET_INFO.
   *
   * @param argsz bytes of the structure and the room after it
   * @returns 0 and the structure, or a negative errno and the check that failed
   */
  tryGetInfo(argsz: number = AMPLE_ARGSZ): InfoResult {
    const info = this.#compat.getInfo(argsz);
    if (typeof info === 'number') return { ...this.#result(info), info: null };
    const ranges = info.ranges.map(({ start, last }) => ({ start, end: last }));
    const caps = [
      { id: 3, version: 1, name: 'dma_avail', avail: U32_MAX } as const,
      { id: 1, version: 1, name: 'iova_ranges', ranges } as const,
    ];
    return {
      ...this.#result(0),
      info: {
        ...{ argsz: info.argsz, flags: INFO_FLAGS, iovaPgsizes: info.pgsizes },
        ...{ capOffset: info.fits ? CAP_OFFSET : 0, caps: info.fits ? caps : [] },
      },
    };
  }

  /**
   * VFIO_IOMMU_DIRTY_PAGES, which iommufd does not know.
   *
   * @returns -ENOTTY
   */
  tryDirtyPages(): DirtyResult {
    return { ret: -Errno.ENOTTY, at: 'iommufd_vfio_ioctl', detail: {}, bitmap: null };
  }

  /** The process closes the container's file; its groups keep it open. */
  closeFile(): void {
    this.#closed = true;
    this.#release();
  }

  /** With the last file everything goes. */
  #release(): void {
    if (this.#closed && this.#groups.length === 0) this.fd.close();
  }

  #result(ret: number): IoctlResult {
    if (ret >= 0) return { ret, at: '', detail: {} };
    const { refusal } = this.fd;
    if (!refusal) return { ret, at: 'iommufd_vfio_ioctl', detail: {} };
    const [at = ''] = refusal.check.split(':');
    return { ret, at, detail: { ...refusal.details, check: refusalText(refusal) } };
  }
}
