/**
 * The calls that devices make: vfio_pin_pages, vfio_unpin_pages and vfio_dma_rw, with the checks of
 * the VFIO core and of the type1 driver before the pages are looked at.
 *
 * @source drivers/vfio/vfio_main.c vfio_pin_pages, vfio_unpin_pages, vfio_dma_rw,
 * drivers/vfio/container.c vfio_device_container_pin_pages, drivers/vfio/vfio_iommu_type1.c
 * vfio_iommu_type1_pin_pages, 6.16 and 6.18; reference type1.md §9 and §14
 */
import { Errno, pageNumber, Slot, type Page } from '@pinfold/base';
import type { Memory, Task } from '@pinfold/mm';
import { POINTER_SIZE } from './batch.ts';
import { vfioIommuType1DmaRw } from './dma-rw.ts';
import { narrowDirtyScope } from './dirty.ts';
import { externalRangeWraps, offsetInPage, vfioIommuType1UnpinPages } from './unpin-external.ts';
import type { Type1Rules } from './rules.ts';
import type { VfioDevice } from './vfio-device.ts';
import type { VfioIommu } from './vfio-iommu.ts';

const AT = 'vfio_iommu_type1_pin_pages';

/** Pages of one call (VFIO_PIN_PAGES_MAX_ENTRIES): as many numbers as a page holds. */
function mostPages({ memmap }: Memory): number {
  return memmap.geometry.pageSize / POINTER_SIZE;
}

/** Which device calls. */
export interface ExternalCaller {
  /** The machine's memory. */
  readonly memory: Memory;
  /** State of the container in which the device is open; null if it is not open. */
  readonly iommu: VfioIommu | null;
  /** type1 rules of the kernel. */
  readonly rules: Type1Rules;
  /** The device. */
  readonly device: VfioDevice;
}

/**
 * Pins pages for a device.
 *
 * @param caller the device
 * @param iovas I/O virtual addresses of the pages in bytes, not necessarily aligned: the first of a
 *   range, or one per page
 * @param npage number of pages
 * @param prot access that the device needs
 * @param pages gets the page pointers; null is refused
 * @returns the number of pages, or a negative errno; why is in the state's `failure`
 * @source drivers/vfio/vfio_main.c vfio_pin_pages, 6.16; with one address per page 5.18
 */
export function vfioPinPages(
  caller: ExternalCaller,
  iovas: bigint | readonly bigint[],
  npage: number,
  prot: number,
  pages: Page[] | null,
): number {
  const { counters } = caller.memory;
  const { tracer } = counters;
  const { pageShift } = caller.memory.memmap.geometry;
  const first = typeof iovas === 'bigint' ? iovas : (iovas[0] ?? 0n);
  counters.add(Slot.externalPinCalls, 1);
  tracer?.enter(
    'vfio_pin_pages',
    pageNumber(first, pageShift),
    offsetInPage(first, pageShift),
    npage,
    prot,
  );
  let ret = checkPin(caller, npage, pages);
  if (ret === 0 && caller.iommu && pages) {
    counters.add(Slot.type1PinPagesCalls, 1);
    tracer?.enter(AT, pageNumber(first, pageShift), offsetInPage(first, pageShift), npage, prot);
    ret = type1PinPages(caller.iommu, caller.device, iovas, npage, prot, pages);
    tracer?.exit(AT, ret);
  }
  tracer?.exit('vfio_pin_pages', ret);
  return ret;
}

/** The checks of the VFIO core: array and number, open, wants to know of unmaps, not too many. */
function checkPin(
  { memory, iommu, device, rules }: ExternalCaller,
  npage: number,
  pages: Page[] | null,
): number {
  const at = 'vfio_pin_pages';
  if (pages === null || npage === 0) return refuse(iommu, Errno.EINVAL, at, { npage });
  if (!iommu) {
    memory.warnOnce(
      rules.containerCalls ? at : 'vfio_assert_device_open',
      `${device.name} is not open`,
    );
    if (rules.containerCalls) memory.warnOn(at, `${device.name} is not open`);
    return -Errno.EINVAL;
  }
  if (rules.pinNeedsNotifier && !device.dmaUnmap)
    return refuse(iommu, Errno.EINVAL, at, { device: device.name });
  // Compared without sign: a negative number is too large.
  if (npage >>> 0 <= mostPages(memory)) return 0;
  return refuse(iommu, Errno.E2BIG, 'vfio_device_container_pin_pages', { npage });
}

function refuse(
  iommu: VfioIommu | null,
  errno: number,
  at: string,
  detail: Readonly<Record<string, string | number>>,
): number {
  return iommu ? iommu.fail(errno, at, detail) : -errno;
}

/** The checks of the driver, then the pages. */
function type1PinPages(
  iommu: VfioIommu,
  { group }: VfioDevice,
  iovas: bigint | readonly bigint[],
  npage: number,
  prot: number,
  pages: Page[],
): number {
  const { vaddrInvalidCount } = iommu;
  if (!iommu.v2) return iommu.fail(Errno.EACCES, AT, { v2: false });
  if (typeof iovas === 'bigint' && externalRangeWraps(iommu, iovas, npage))
    return iommu.fail(Errno.EOVERFLOW, AT, { iova: iovas, npage });
  if (vaddrInvalidCount > 0) {
    iommu.memory.warnOnce(AT, 'not allowed with VFIO_UPDATE_VADDR');
    return iommu.fail(Errno.EBUSY, AT, { vaddrInvalidCount });
  }
  if (iommu.deviceList.length === 0) return iommu.fail(Errno.EINVAL, AT, { openDevices: 0 });
  const ret = iommu.rules.pinAlgorithm.pinExternal(iommu, {
    ...pageList(iovas, npage, iommu.pageShift),
    ...{ npage, prot, pages },
  });
  if (ret > 0 && 'unit' in group) narrowDirtyScope(iommu, group);
  return ret;
}

/** Page numbers and offsets of the pages. */
function pageList(
  iovas: bigint | readonly bigint[],
  npage: number,
  pageShift: number,
): { readonly iovaPn: number[]; readonly offset: number[] } {
  if (typeof iovas !== 'bigint')
    return {
      iovaPn: iovas.map((iova) => pageNumber(iova, pageShift)),
      offset: iovas.map((iova) => offsetInPage(iova, pageShift)),
    };
  const first = pageNumber(iovas, pageShift);
  const iovaPn = Array.from({ length: npage }, (_, i) => first + i);
  return { iovaPn, offset: new Array<number>(npage).fill(offsetInPage(iovas, pageShift)) };
}

/**
 * Gives pages back for a device. Nothing is returned: the kernel warns of what cannot be right.
 *
 * @param caller the device
 * @param iova first I/O virtual address in bytes
 * @param npage number of pages
 * @source drivers/vfio/vfio_main.c vfio_unpin_pages, drivers/vfio/container.c
 * vfio_device_container_unpin_pages, 6.16
 */
export function vfioUnpinPages(
  { memory, iommu, device, rules }: ExternalCaller,
  iova: bigint,
  npage: number,
): void {
  const { counters } = memory;
  const { tracer } = counters;
  const { pageShift } = memory.memmap.geometry;
  const at = 'vfio_unpin_pages';
  counters.add(Slot.externalUnpinCalls, 1);
  tracer?.enter(
    'vfio_unpin_pages',
    pageNumber(iova, pageShift),
    offsetInPage(iova, pageShift),
    npage,
  );
  if (!iommu) {
    if (rules.containerCalls) memory.warnOnce(at, `${device.name} is not open`);
    memory.warnOn(at, `${device.name} is not open`);
  } else if (npage <= 0 || npage > mostPages(memory))
    memory.warnOn(
      rules.containerCalls ? 'vfio_device_container_unpin_pages' : at,
      `${npage} pages`,
    );
  else vfioIommuType1UnpinPages(iommu, iova, npage);
  tracer?.exit('vfio_unpin_pages');
}

/**
 * Reads or writes memory for a device.
 *
 * @param caller the device
 * @param current the calling process; null: a kernel thread
 * @param iova first I/O virtual address in bytes
 * @param data what is written, or gets what is read; null is refused
 * @param length length in bytes; that of `data` unless that is null
 * @param write whether the device writes
 * @returns 0 or a negative errno; why is in the state's `failure`
 * @source drivers/vfio/vfio_main.c vfio_dma_rw, 6.16
 */
export function vfioDmaRw(
  { memory, iommu, device }: ExternalCaller,
  current: Task | null,
  iova: bigint,
  data: Uint8Array | null,
  length: number,
  write: boolean,
): number {
  const { counters } = memory;
  const { tracer } = counters;
  const { pageShift } = memory.memmap.geometry;
  const at = 'vfio_dma_rw';
  counters.add(Slot.dmaRwCalls, 1);
  tracer?.enter(
    'vfio_dma_rw',
    pageNumber(iova, pageShift),
    offsetInPage(iova, pageShift),
    length,
    write ? 1 : 0,
  );
  let ret: number;
  if (data === null || length <= 0) ret = refuse(iommu, Errno.EINVAL, at, { length });
  else if (iommu) ret = vfioIommuType1DmaRw(iommu, current, iova, data, write);
  else {
    memory.warnOnce(at, `${device.name} is not open`);
    ret = -Errno.EINVAL;
  }
  tracer?.exit('vfio_dma_rw', ret);
  return ret;
}
