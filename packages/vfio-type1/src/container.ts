/**
 * A VFIO container with a type1 IOMMU, as a process sees it: ioctls in, errno out; and as the drivers
 * of devices without an IOMMU see it: pages pinned and given back, memory read and written.
 *
 * Most calls exist twice: `tryMapDma` returns the result, `mapDma` throws a KernelError.
 *
 * @source drivers/vfio/container.c, drivers/vfio/vfio_main.c, drivers/vfio/vfio_iommu_type1.c, 6.16;
 * reference type1.md §2, §7, §9, §11 to §14
 */
import { Errno, KernelError, type Page } from '@pinfold/base';
import type { Task } from '@pinfold/mm';
import { ContainerGroups, throwUnless } from './container-groups.ts';
import type { DirtyBitmap } from './dirty-bitmap.ts';
import { vfioIommuType1DirtyPages } from './dirty-pages.ts';
import { vfioDmaRw, vfioPinPages, vfioUnpinPages, type ExternalCaller } from './external-calls.ts';
import { vfioIommuType1GetInfo } from './info.ts';
import { vfioDmaDoMap } from './map.ts';
import type {
  DirtyResult,
  InfoResult,
  IoctlResult,
  UnmapResult,
  VfioIommuType1DirtyBitmap,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
} from './uapi.ts';
import { vfioDmaDoUnmap } from './unmap.ts';
import type { VfioDevice } from './vfio-device.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** Room that GET_INFO is given unless told otherwise, in bytes: more than it ever needs. */
const AMPLE_ARGSZ = 65536;

/** An ioctl of the driver in a container that has none yet. */
const NO_DRIVER: IoctlResult = {
  ret: -Errno.EINVAL,
  at: 'vfio_fops_unl_ioctl',
  detail: { set: false },
};

/**
 * An ioctl of the driver in a container of no-IOMMU groups, which has none.
 *
 * @source drivers/vfio/container.c vfio_noiommu_ioctl, 6.16
 */
const NO_IOMMU: IoctlResult = { ret: -Errno.ENOTTY, at: 'vfio_noiommu_ioctl', detail: {} };

/** A container file descriptor. */
export class VfioContainer extends ContainerGroups {
  /**
   * VFIO_IOMMU_GET_INFO.
   *
   * @param argsz size of the caller's structure and the room behind it, in bytes; default: ample
   * @returns 0 and the structure afterwards, or -EINVAL for a structure that is too small, and
   *   before VFIO_SET_IOMMU
   * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_get_info, 6.16
   */
  tryGetInfo(argsz: number = AMPLE_ARGSZ): InfoResult {
    const iommu = this.state;
    if (!iommu) return { ...this.#withoutState, info: null };
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
    const iommu = this.state;
    if (!iommu) return this.#withoutState;
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
    const iommu = this.state;
    if (!iommu) return { ...this.#withoutState, size: unmap.size, bitmap: null };
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
    const iommu = this.state;
    if (!iommu) return { ...this.#withoutState, bitmap: null };
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

  /**
   * vfio_pin_pages: pins pages for an open device, or takes a reference more to those it has pinned.
   *
   * @param device the device
   * @param iova first I/O virtual address in bytes; it may lie inside a page
   * @param npage number of pages, at most as many pointers as a page holds
   * @param prot access that the device needs: {@link IOMMU} bits
   * @param pages gets the page pointers from index 0; after an error {@link NO_PAGE} up to the page
   *   that failed. null is refused
   * @returns the number of pages or a negative errno; why is in `iommu.failure`
   * @throws {KernelBug} when a page begins before its mapping and dirty pages are logged
   * @source drivers/vfio/vfio_main.c vfio_pin_pages, 6.16
   */
  tryPinPages(
    device: VfioDevice,
    iova: bigint,
    npage: number,
    prot: number,
    pages: Page[] | null,
  ): number {
    return vfioPinPages(this.#caller(device), BigInt.asUintN(64, iova), npage, prot, pages);
  }

  /**
   * vfio_pin_pages in the form before 5.19, with an address for every page.
   *
   * @param device the device
   * @param iovas I/O virtual addresses of the pages in bytes, at most as many pointers as a page holds
   * @param prot access that the device needs: {@link IOMMU} bits
   * @param pages gets the page pointers, as in {@link tryPinPages}
   * @returns the number of pages or a negative errno; why is in `iommu.failure`
   * @throws {KernelBug} when a page begins before its mapping and dirty pages are logged
   * @source drivers/vfio/vfio.c vfio_pin_pages, 5.18
   */
  tryPinPageList(
    device: VfioDevice,
    iovas: readonly bigint[],
    prot: number,
    pages: Page[] | null,
  ): number {
    return vfioPinPages(this.#caller(device), iovas, iovas.length, prot, pages);
  }

  /**
   * vfio_pin_pages.
   *
   * @param device the device
   * @param iova first I/O virtual address in bytes; it may lie inside a page
   * @param npage number of pages, at most as many pointers as a page holds
   * @param prot access that the device needs: {@link IOMMU} bits
   * @returns the page pointers
   * @throws {KernelError} EINVAL (no pages, device not open or without `dmaUnmap`, not mapped, device
   *   memory), E2BIG (more pages), EACCES (type1 v1), EOVERFLOW (range wraps, since 6.18),
   *   EBUSY (the vaddr of a mapping is invalid), EPERM (access), EFAULT (memory not there), ENOMEM
   *   (RLIMIT_MEMLOCK), ENODEV (the process has gone)
   * @throws {KernelBug} when a page begins before its mapping and dirty pages are logged
   * @source drivers/vfio/vfio_main.c vfio_pin_pages, 6.16
   */
  pinPages(device: VfioDevice, iova: bigint, npage: number, prot: number): Page[] {
    const pages: Page[] = [];
    const ret = this.tryPinPages(device, iova, npage, prot, pages);
    throwUnless(ret, 'vfio_pin_pages', this.state?.failure ?? null);
    return pages;
  }

  /**
   * vfio_unpin_pages: gives one reference to each page back. Pages that are not pinned are passed
   * over; of what cannot be right the kernel only warns (`memory.warnings`).
   *
   * @param device the device
   * @param iova first I/O virtual address in bytes
   * @param npage number of pages, at most as many pointers as a page holds
   * @source drivers/vfio/vfio_main.c vfio_unpin_pages, 6.16
   */
  unpinPages(device: VfioDevice, iova: bigint, npage: number): void {
    vfioUnpinPages(this.#caller(device), BigInt.asUintN(64, iova), npage);
  }

  /**
   * vfio_dma_rw: reads or writes the memory behind I/O virtual addresses, without pinning it.
   *
   * @param device an open device
   * @param current the calling process; null: a kernel thread
   * @param iova first I/O virtual address in bytes
   * @param data what is written, or gets what is read; null is refused
   * @param write whether the device writes
   * @param length length in bytes, for a `data` of null; default that of `data`
   * @returns 0 or a negative errno; why is in `iommu.failure`
   * @source drivers/vfio/vfio_main.c vfio_dma_rw, 6.16
   */
  tryDmaRw(
    device: VfioDevice,
    current: Task | null,
    iova: bigint,
    data: Uint8Array | null,
    write: boolean,
    length: number = data?.length ?? 0,
  ): number {
    const at = BigInt.asUintN(64, iova);
    return vfioDmaRw(this.#caller(device), current, at, data, length, write);
  }

  /**
   * vfio_dma_rw.
   *
   * @param device an open device
   * @param current the calling process; null: a kernel thread
   * @param iova first I/O virtual address in bytes
   * @param data what is written, or gets what is read
   * @param write whether the device writes
   * @throws {KernelError} EINVAL (nothing to copy, device not open, not mapped), EBUSY (the vaddr of
   *   a mapping is invalid), EPERM (access; reading is needed for writing too), EFAULT (memory not
   *   there, or of another process)
   * @source drivers/vfio/vfio_main.c vfio_dma_rw, 6.16
   */
  dmaRw(
    device: VfioDevice,
    current: Task | null,
    iova: bigint,
    data: Uint8Array,
    write: boolean,
  ): void {
    const ret = this.tryDmaRw(device, current, iova, data, write);
    throwUnless(ret, 'vfio_dma_rw', this.state?.failure ?? null);
  }

  /** What every ioctl of the type1 driver gives where there is none. */
  get #withoutState(): IoctlResult {
    return this.hasNoIommuDriver ? NO_IOMMU : NO_DRIVER;
  }

  /** A device about to call. */
  #caller(device: VfioDevice): ExternalCaller {
    const iommu = this.stateOf(device);
    if (iommu) iommu.failure = null;
    return { memory: this.memory, iommu, rules: this.rules, device };
  }
}

function result(iommu: VfioIommu, ret: number): IoctlResult {
  return { ret, at: iommu.failure?.at ?? '', detail: iommu.failure?.detail ?? {} };
}
