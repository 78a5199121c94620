/**
 * A VFIO container with a type1 IOMMU, as a process sees it: ioctls in, errno out.
 *
 * MAP_DMA, UNMAP_DMA, DIRTY_PAGES and GET_INFO exist twice: `tryMapDma` returns the result, `mapDma` throws a
 * KernelError.
 *
 * @source drivers/vfio/container.c, drivers/vfio/vfio_iommu_type1.c, 6.16; reference type1.md §2,
 * §7, §11 to §13
 */
import { Errno, KernelError } from '@pinfold/base';
import type { IommuDomain } from '@pinfold/iommu';
import type { Memory, Task } from '@pinfold/mm';
import { attachGroup } from './attach.ts';
import { checkExtension } from './check-extension.ts';
import { detachGroup } from './detach.ts';
import type { DirtyBitmap } from './dirty-bitmap.ts';
import { vfioIommuType1DirtyPages } from './dirty-pages.ts';
import { vfioIommuType1GetInfo } from './info.ts';
import { vfioDmaDoMap } from './map.ts';
import type { Type1Rules } from './rules.ts';
import {
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type DirtyResult,
  type InfoResult,
  type IoctlResult,
  type UnmapResult,
  type VfioIommuType1DirtyBitmap,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
  type VfioIommuType1Info,
} from './uapi.ts';
import { vfioDmaDoUnmap } from './unmap.ts';
import type { KernelVersion } from './versions/kernel-version.ts';
import type { IommuGroup } from './vfio-domain.ts';
import { DEFAULT_MODULE_PARAMS, VfioIommu, type ModuleParams } from './vfio-iommu.ts';

/** Room that GET_INFO is given unless told otherwise, in bytes: more than it ever needs. */
const AMPLE_ARGSZ = 65536;

/** An ioctl of the driver in a container that has none yet. */
const NO_DRIVER: IoctlResult = {
  ret: -Errno.EINVAL,
  at: 'vfio_fops_unl_ioctl',
  detail: { set: false },
};

/** What a container is opened with. */
export interface ContainerOptions {
  /** The kernel. Its mm rules are those that the memory was made with. */
  readonly kernel: KernelVersion;
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

/** A container file descriptor. */
export class VfioContainer {
  readonly #options: ContainerOptions;
  readonly #rules: Type1Rules;
  readonly #params: ModuleParams;
  readonly #groups: IommuGroup[] = [];
  #iommu: VfioIommu | null = null;

  /** @param options kernel, memory and module parameters */
  constructor(options: ContainerOptions) {
    this.#options = options;
    this.#rules = { ...options.kernel.type1, ...options.type1 };
    this.#params = liveParams(options.params ?? {});
  }

  /**
   * The type1 state, for looking at it.
   *
   * @returns the state
   * @throws {KernelError} EINVAL before VFIO_SET_IOMMU
   */
  get iommu(): VfioIommu {
    if (!this.#iommu) throw new KernelError('VFIO_IOMMU_*', Errno.EINVAL, 'vfio_fops_unl_ioctl');
    return this.#iommu;
  }

  /**
   * The domain that translates for a group.
   *
   * @param group the group
   * @returns its IOMMU domain; null before VFIO_SET_IOMMU and for a group that is not in
   */
  domainOf(group: IommuGroup): IommuDomain | null {
    const domains = this.#iommu?.domainList ?? [];
    return domains.find(({ groupList }) => groupList.includes(group))?.domain ?? null;
  }

  /**
   * Adds a group (VFIO_GROUP_SET_CONTAINER); before VFIO_SET_IOMMU it only waits for it.
   *
   * @param group the group
   * @throws {KernelError} EINVAL when the group is in the container, or a mapping lies outside its
   *   aperture or in a region that is reserved for it; EBUSY while the vaddr of a mapping is invalid
   * @source drivers/vfio/container.c vfio_container_attach_group, 6.16
   */
  addGroup(group: IommuGroup): void {
    const op = 'VFIO_GROUP_SET_CONTAINER';
    if (this.#groups.includes(group)) {
      const detail = { group: group.name };
      throw new KernelError(op, Errno.EINVAL, 'vfio_group_ioctl_set_container', detail);
    }
    if (this.#iommu) {
      const ret = attachGroup(this.#iommu, this.#options.kernel.iommu, group);
      throwUnless(ret, op, this.#iommu.failure);
    }
    this.#groups.push(group);
  }

  /**
   * Takes a group out (VFIO_GROUP_UNSET_CONTAINER). With the last one goes the IOMMU driver: every
   * mapping is unmapped, unpinned and uncharged, and VFIO_SET_IOMMU is needed again.
   *
   * @param group the group
   * @throws {KernelError} EINVAL when the group is not in the container
   * @source drivers/vfio/container.c vfio_group_detach_container, 6.16
   */
  removeGroup(group: IommuGroup): void {
    const at = this.#groups.indexOf(group);
    if (at < 0) {
      const op = 'VFIO_GROUP_UNSET_CONTAINER';
      const detail = { group: group.name };
      throw new KernelError(op, Errno.EINVAL, 'vfio_group_ioctl_unset_container', detail);
    }
    if (this.#iommu) detachGroup(this.#iommu, group);
    this.#groups.splice(at, 1);
    if (this.#groups.length === 0) this.#iommu = null;
  }

  /**
   * VFIO_CHECK_EXTENSION, before VFIO_SET_IOMMU too.
   *
   * @param extension number of the extension, or a type of VFIO_SET_IOMMU
   * @returns 1 or 0
   * @source drivers/vfio/container.c vfio_container_ioctl_check_extension, 6.16
   */
  checkExtension(extension: number): number {
    return checkExtension(this.#rules, this.#iommu, extension);
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
    if (this.#iommu || this.#groups.length === 0) {
      const detail = { groups: this.#groups.length, set: this.#iommu !== null };
      throw new KernelError(op, Errno.EINVAL, 'vfio_ioctl_set_iommu', detail);
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
    const { kernel, memory } = this.#options;
    const iommu = new VfioIommu(memory, this.#rules, this.#params, v2, nesting);
    for (const group of this.#groups)
      throwUnless(attachGroup(iommu, kernel.iommu, group), op, iommu.failure);
    this.#iommu = iommu;
  }

  /**
   * VFIO_IOMMU_GET_INFO.
   *
   * @param argsz size of the caller's structure and the room behind it, in bytes; default: ample
   * @returns 0 and the structure afterwards, or -EINVAL for a structure that is too small, and
   *   before VFIO_SET_IOMMU
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info, 6.16
   */
  tryGetInfo(argsz: number = AMPLE_ARGSZ): InfoResult {
    const iommu = this.#iommu;
    if (!iommu) return { ...NO_DRIVER, info: null };
    iommu.failure = null;
    const info = vfioIommuType1GetInfo(iommu, argsz);
    return typeof info === 'number'
      ? { ...result(iommu, info), info: null }
      : { ...result(iommu, 0), info };
  }

  /**
   * VFIO_IOMMU_GET_INFO.
   *
   * @param argsz size of the caller's structure and the room behind it, in bytes; default: ample
   * @returns the structure afterwards: page sizes, and the capabilities if there was room for them
   * @throws {KernelError} EINVAL for a structure that is too small, and before VFIO_SET_IOMMU
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info, 6.16
   */
  getInfo(argsz: number = AMPLE_ARGSZ): VfioIommuType1Info {
    const done = this.tryGetInfo(argsz);
    if (done.info) return done.info;
    throw new KernelError('VFIO_IOMMU_GET_INFO', done.ret, done.at, done.detail);
  }

  /**
   * VFIO_IOMMU_MAP_DMA.
   *
   * @param current the calling process
   * @param map the ioctl's structure
   * @returns 0 or a negative errno, and the check that failed
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_map_dma, 6.16
   */
  tryMapDma(current: Task, map: VfioIommuType1DmaMap): IoctlResult {
    const iommu = this.#iommu;
    if (!iommu) return NO_DRIVER;
    iommu.failure = null;
    return result(iommu, vfioDmaDoMap(iommu, current, map));
  }

  /**
   * VFIO_IOMMU_MAP_DMA.
   *
   * @param current the calling process
   * @param map the ioctl's structure
   * @throws {KernelError} EINVAL (size, alignment, flags, outside the usable addresses), EOVERFLOW
   *   (range wraps; EINVAL up to 6.17), EEXIST (overlap), ENOSPC (entry limit), ENOENT (no mapping
   *   to give a vaddr), EFAULT (memory not there), ENOMEM (RLIMIT_MEMLOCK)
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_map_dma, 6.16
   */
  mapDma(current: Task, map: VfioIommuType1DmaMap): void {
    const done = this.tryMapDma(current, map);
    throwUnless(done.ret, 'VFIO_IOMMU_MAP_DMA', done);
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA.
   *
   * @param unmap the ioctl's structure
   * @returns 0 or a negative errno, the check that failed, the structure's size afterwards, and the
   *   dirty bitmap
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, 6.16
   */
  tryUnmapDma(unmap: VfioIommuType1DmaUnmap): UnmapResult {
    const iommu = this.#iommu;
    if (!iommu) return { ...NO_DRIVER, size: unmap.size, bitmap: null };
    iommu.failure = null;
    const { ret, unmapped, bitmap } = vfioDmaDoUnmap(iommu, unmap);
    return { ...result(iommu, ret), size: ret === 0 ? unmapped : unmap.size, bitmap };
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA.
   *
   * @param unmap the ioctl's structure
   * @returns bytes unmapped: 0 if nothing lay in the range, or (v1) if it began inside a mapping
   * @throws {KernelError} EINVAL (size, alignment, flags, bitmap, v2: the range cuts a mapping),
   *   EOVERFLOW (range wraps; EINVAL up to 6.17), EFAULT (memory of the bitmap not there)
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, 6.16
   */
  unmapDma(unmap: VfioIommuType1DmaUnmap): bigint {
    const done = this.tryUnmapDma(unmap);
    throwUnless(done.ret, 'VFIO_IOMMU_UNMAP_DMA', done);
    return done.size;
  }

  /**
   * VFIO_IOMMU_DIRTY_PAGES.
   *
   * @param dirty the ioctl's structure
   * @returns 0 or a negative errno, the check that failed, and the dirty bitmap
   * @throws {KernelBug} when a page is pinned that begins before its mapping
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dirty_pages, 6.12
   */
  tryDirtyPages(dirty: VfioIommuType1DirtyBitmap): DirtyResult {
    const iommu = this.#iommu;
    if (!iommu) return { ...NO_DRIVER, bitmap: null };
    iommu.failure = null;
    const { ret, bitmap } = vfioIommuType1DirtyPages(iommu, dirty);
    return { ...result(iommu, ret), bitmap };
  }

  /**
   * VFIO_IOMMU_DIRTY_PAGES.
   *
   * @param dirty the ioctl's structure
   * @returns the dirty bitmap after GET_BITMAP, null after START and STOP
   * @throws {KernelError} EACCES (type1 v1), EINVAL (flags, sizes, alignment, the range cuts a
   *   mapping, tracking is off, START: a mapping is larger than INT_MAX pages), EOVERFLOW (range
   *   wraps; EINVAL up to 6.17), EFAULT (memory of the bitmap not there)
   * @throws {KernelBug} when a page is pinned that begins before its mapping
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dirty_pages, 6.12
   */
  dirtyPages(dirty: VfioIommuType1DirtyBitmap): DirtyBitmap | null {
    const done = this.tryDirtyPages(dirty);
    throwUnless(done.ret, 'VFIO_IOMMU_DIRTY_PAGES', done);
    return done.bitmap;
  }

  /** Closes the container: its groups leave, so that every mapping is unmapped, unpinned and uncharged. */
  close(): void {
    for (const group of [...this.#groups]) this.removeGroup(group);
  }
}

/** Parameters that are those of an object at the time of reading, with the module's defaults. */
function liveParams(given: Partial<ModuleParams>): ModuleParams {
  return {
    get disableHugepages() {
      return given.disableHugepages ?? DEFAULT_MODULE_PARAMS.disableHugepages;
    },
    get dmaEntryLimit() {
      return given.dmaEntryLimit ?? DEFAULT_MODULE_PARAMS.dmaEntryLimit;
    },
  };
}

function result(iommu: VfioIommu, ret: number): IoctlResult {
  return { ret, at: iommu.failure?.at ?? '', detail: iommu.failure?.detail ?? {} };
}

function throwUnless(ret: number, op: string, failure: VfioIommu['failure']): void {
  if (ret < 0) throw new KernelError(op, ret, failure?.at ?? op, failure?.detail);
}
