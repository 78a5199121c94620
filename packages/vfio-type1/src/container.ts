/**
 * A VFIO container with a type1 IOMMU, as a process sees it: ioctls in, errno out.
 *
 * Every ioctl exists twice: `tryMapDma` returns the result, `mapDma` throws a KernelError.
 *
 * @source drivers/vfio/container.c, drivers/vfio/vfio_iommu_type1.c, 6.16; reference type1.md §2, §7, §11
 */
import { Errno, KernelError } from '@pinfold/base';
import type { Memory, Task } from '@pinfold/mm';
import { attachGroup, releaseAll, type IommuGroup } from './attach.ts';
import { vfioDmaDoMap } from './map.ts';
import type { Type1Rules } from './rules.ts';
import {
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type IoctlResult,
  type UnmapResult,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
} from './uapi.ts';
import { vfioDmaDoUnmap } from './unmap.ts';
import type { KernelVersion } from './versions/kernel-version.ts';
import { DEFAULT_MODULE_PARAMS, VfioIommu, type ModuleParams } from './vfio-iommu.ts';

/** What a container is opened with. */
export interface ContainerOptions {
  /** The kernel. Its mm rules are those that the memory was made with. */
  readonly kernel: KernelVersion;
  /** The machine's memory. */
  readonly memory: Memory;
  /** Module parameters at the time of opening; default: the module's defaults. */
  readonly params?: Partial<ModuleParams>;
  /** Replaces parts of the kernel's type1 rules, for example the pin algorithm. */
  readonly type1?: Partial<Type1Rules>;
}

/** A container file descriptor. */
export class VfioContainer {
  readonly #options: ContainerOptions;
  readonly #groups: IommuGroup[] = [];
  #iommu: VfioIommu | null = null;

  /** @param options kernel, memory and module parameters */
  constructor(options: ContainerOptions) {
    this.#options = options;
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
   * Adds a group (VFIO_GROUP_SET_CONTAINER); before VFIO_SET_IOMMU it only waits for it.
   *
   * @param group the group
   * @throws {KernelError} EINVAL when the group is in a container, or a mapping lies in a region
   *   that is reserved for the group; EBUSY while the vaddr of a mapping is invalid
   * @source drivers/vfio/container.c vfio_container_attach_group, 6.16
   */
  addGroup(group: IommuGroup): void {
    if (this.#groups.includes(group)) {
      const detail = { group: group.name };
      throw new KernelError(
        'VFIO_GROUP_SET_CONTAINER',
        Errno.EINVAL,
        'vfio_group_ioctl_set_container',
        detail,
      );
    }
    if (this.#iommu) {
      const ret = attachGroup(this.#iommu, this.#options.kernel.iommu, group);
      throwUnless(ret, 'VFIO_GROUP_SET_CONTAINER', this.#iommu.failure);
    }
    this.#groups.push(group);
  }

  /**
   * VFIO_SET_IOMMU: gives the container its IOMMU driver and attaches its groups.
   *
   * @param type VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU
   * @throws {KernelError} EINVAL without a group or when it is set already; ENODEV for another type
   * @source drivers/vfio/container.c vfio_ioctl_set_iommu, 6.16
   */
  setIommu(type: number): void {
    const op = 'VFIO_SET_IOMMU';
    if (this.#iommu || this.#groups.length === 0) {
      const detail = { groups: this.#groups.length, set: this.#iommu !== null };
      throw new KernelError(op, Errno.EINVAL, 'vfio_ioctl_set_iommu', detail);
    }
    if (type !== VFIO_TYPE1_IOMMU && type !== VFIO_TYPE1v2_IOMMU) {
      throw new KernelError(op, Errno.ENODEV, 'vfio_ioctl_set_iommu', { type });
    }
    const { kernel, memory, params, type1 } = this.#options;
    const rules = { ...kernel.type1, ...type1 };
    const v2 = type === VFIO_TYPE1v2_IOMMU;
    const iommu = new VfioIommu(memory, rules, { ...DEFAULT_MODULE_PARAMS, ...params }, v2);
    for (const group of this.#groups)
      throwUnless(attachGroup(iommu, kernel.iommu, group), op, iommu.failure);
    this.#iommu = iommu;
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
    const { iommu } = this;
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
    throwUnless(this.tryMapDma(current, map).ret, 'VFIO_IOMMU_MAP_DMA', this.iommu.failure);
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA.
   *
   * @param unmap the ioctl's structure
   * @returns 0 or a negative errno, the check that failed, and the structure's size afterwards
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, 6.16
   */
  tryUnmapDma(unmap: VfioIommuType1DmaUnmap): UnmapResult {
    const { iommu } = this;
    iommu.failure = null;
    const { ret, unmapped } = vfioDmaDoUnmap(iommu, unmap);
    return { ...result(iommu, ret), size: ret === 0 ? unmapped : unmap.size };
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA.
   *
   * @param unmap the ioctl's structure
   * @returns bytes unmapped: 0 if nothing lay in the range, or (v1) if it began inside a mapping
   * @throws {KernelError} EINVAL (size, alignment, flags, v2: the range cuts a mapping), EOVERFLOW
   *   (range wraps; EINVAL up to 6.17)
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, 6.16
   */
  unmapDma(unmap: VfioIommuType1DmaUnmap): bigint {
    const { ret, size } = this.tryUnmapDma(unmap);
    throwUnless(ret, 'VFIO_IOMMU_UNMAP_DMA', this.iommu.failure);
    return size;
  }

  /** Closes the container: every mapping is unmapped, unpinned and uncharged. */
  close(): void {
    if (this.#iommu) releaseAll(this.#iommu);
    this.#iommu = null;
    this.#groups.length = 0;
  }
}

function result(iommu: VfioIommu, ret: number): IoctlResult {
  return { ret, at: iommu.failure?.at ?? '', detail: iommu.failure?.detail ?? {} };
}

function throwUnless(ret: number, op: string, failure: VfioIommu['failure']): void {
  if (ret < 0) throw new KernelError(op, ret, failure?.at ?? op, failure?.detail);
}
