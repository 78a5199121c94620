/**
 * Pages that devices without an IOMMU pin: one by one, each a node of the mapping's vpfn tree.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, vfio_pin_page_external, 6.16;
 * reference type1.md §9
 */
import { Errno, Slot, type IovaPn, type Page, type Pfn } from '@pinfold/base';
import { VfioBatch } from './batch.ts';
import { markDirty } from './dirty.ts';
import type { VfioDma } from './dma.ts';
import { refusedByAcct, vfioLockAcct } from './lock-acct.ts';
import { refusedByGup, unwindPfns } from './pin-chunk.ts';
import { countReservedTest, isInvalidReservedPfn } from './put-pfn.ts';
import { externalIova, findDmaOfPage, findVpfn, unpinPageExternal } from './unpin-external.ts';
import { vaddrGetPfns } from './vaddr-get-pfns.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { VfioPfn } from './vpfn.ts';

const AT = 'vfio_iommu_type1_pin_pages';

/** A NULL `struct page` pointer: 0 is the pointer of frame 0. */
export const NO_PAGE = -1;

/** What a device asks vfio_pin_pages for; one entry per page in the arrays. */
export interface ExternalPinRequest {
  /** Page numbers of the I/O virtual addresses. */
  readonly iovaPn: readonly IovaPn[];
  /** Offsets of the I/O virtual addresses in their pages, in bytes. */
  readonly offset: readonly number[];
  /** Number of pages. */
  readonly npage: number;
  /** IOMMU access bits that the device needs; the mapping must have them. */
  readonly prot: number;
  /** Gets the page pointers, or {@link NO_PAGE}. */
  readonly pages: Page[];
}

/**
 * Pins page after page: a GUP call, a node and a charge for each that no device has pinned yet. An
 * error gives back, page by page, what this call has pinned; bits that it has set in a dirty bitmap
 * stay.
 *
 * @param iommu the container's state
 * @param request the pages
 * @returns the number of pages; -EINVAL (no mapping, or a page that has no `struct page`), -EPERM
 *   (access that the mapping does not have), -EFAULT and -ENOMEM of the pin, -ENOMEM
 *   (RLIMIT_MEMLOCK), -ENODEV (the process has gone)
 * @throws {KernelBug} when a page begins before its mapping and dirty pages are logged
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, 6.16
 */
export function pinExternalPages(iommu: VfioIommu, request: ExternalPinRequest): number {
  const doAccounting = iommu.domainList.length === 0;
  const batch = new VfioBatch(iommu.memory.memmap.pageArray(1));
  for (let i = 0; i < request.npage; i++) {
    const ret = pinOne(iommu, request, i, doAccounting, batch);
    if (ret < 0) return unwindExternal(iommu, request, i, doAccounting, ret);
  }
  return request.npage;
}

/**
 * Gives back what a failed call has pinned, from its first page on.
 *
 * @param iommu the container's state
 * @param request the pages; the pointers of those that were pinned, and of the one that failed,
 *   become {@link NO_PAGE}
 * @param done pages that were pinned
 * @param doAccounting whether they were charged
 * @param ret why the next one failed
 * @returns `ret`
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages (its error path), 6.16
 */
export function unwindExternal(
  iommu: VfioIommu,
  request: ExternalPinRequest,
  done: number,
  doAccounting: boolean,
  ret: number,
): number {
  const { iovaPn, offset, pages } = request;
  pages[done] = NO_PAGE;
  for (let i = 0; i < done; i++) {
    const dma = findDmaOfPage(iommu, iovaPn[i], offset[i]);
    if (dma) unpinPageExternal(iommu, dma, iovaPn[i], offset[i], doAccounting);
    pages[i] = NO_PAGE;
  }
  return ret;
}

/**
 * The mapping that a page is to be pinned in, if it may.
 *
 * @param iommu the container's state
 * @param request the pages
 * @param i index of the page
 * @returns the mapping; -EINVAL if there is none, -EPERM if it lacks access that the device needs
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, 6.16
 */
export function dmaToPin(
  iommu: VfioIommu,
  { iovaPn, offset, prot }: ExternalPinRequest,
  i: number,
): VfioDma | number {
  const dma = findDmaOfPage(iommu, iovaPn[i], offset[i]);
  const iova = externalIova(iommu, iovaPn[i], offset[i]);
  if (!dma) return iommu.fail(Errno.EINVAL, AT, { iova, mapped: false });
  if ((dma.prot & prot) === prot) return dma;
  return iommu.fail(Errno.EPERM, AT, { iova, prot, dmaProt: dma.prot, dmaIovaPn: dma.iovaPn });
}

/** Pins one page, or takes a reference more; returns 0 or a negative errno. */
function pinOne(
  iommu: VfioIommu,
  request: ExternalPinRequest,
  i: number,
  doAccounting: boolean,
  batch: VfioBatch,
): number {
  const dma = dmaToPin(iommu, request, i);
  if (typeof dma === 'number') return dma;
  if (takeKnownPage(iommu, dma, request, i)) return 0;
  return pinNewPage(iommu, dma, request, i, doAccounting, batch);
}

/**
 * Takes a reference more to a page that a device has pinned already.
 *
 * @param iommu the container's state
 * @param dma the mapping that it lies in
 * @param request the pages
 * @param i index of the page
 * @returns false if no device has
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, 6.16
 */
export function takeKnownPage(
  iommu: VfioIommu,
  dma: VfioDma,
  request: ExternalPinRequest,
  i: number,
): boolean {
  const known = findVpfn(iommu, dma, request.iovaPn[i], request.offset[i]);
  if (!known) return false;
  known.refCount++;
  request.pages[i] = iommu.memory.memmap.pfnToPage(known.pfn);
  return true;
}

/**
 * Pins a page that no device has pinned yet.
 *
 * @param iommu the container's state
 * @param dma the mapping that it lies in
 * @param request the pages
 * @param i index of the page
 * @param doAccounting whether to charge it
 * @param batch an empty batch
 * @returns 0; -ENODEV, the errno of the pin, -ENOMEM (RLIMIT_MEMLOCK), -EINVAL (no `struct page`)
 * @throws {KernelBug} when the page begins before the mapping and dirty pages are logged
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_page_external, vfio_iommu_type1_pin_pages, 6.16
 */
export function pinNewPage(
  iommu: VfioIommu,
  dma: VfioDma,
  request: ExternalPinRequest,
  i: number,
  doAccounting: boolean,
  batch: VfioBatch,
): number {
  const { memmap } = iommu.memory;
  const iovaPn = request.iovaPn[i];
  const offset = request.offset[i];
  const pfn = pinPageExternal(iommu, dma, iovaPn, offset, doAccounting, batch);
  if (pfn < 0) return pfn;
  if (!memmap.pfnValid(pfn)) {
    return iommu.fail(Errno.EINVAL, AT, {
      iova: externalIova(iommu, iovaPn, offset),
      pfn,
      valid: false,
    });
  }
  const ret = addToPfnList(iommu, dma, iovaPn, offset, pfn);
  if (ret === 0) request.pages[i] = memmap.pfnToPage(pfn);
  else {
    unwindPfns(iommu, dma, pfn, 1);
    if (doAccounting) vfioLockAcct(dma, -iommu.put.unlocked, true);
  }
  return ret;
}

/**
 * Makes the node of a page that has been pinned, and its bit in the dirty bitmap.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn page number of the I/O virtual address
 * @param offset its offset in the page, in bytes
 * @param pfn page frame
 * @returns 0; -ENOMEM without memory for the node
 * @throws {KernelBug} when the page begins before the mapping and dirty pages are logged
 * @source drivers/vfio/vfio_iommu_type1.c vfio_add_to_pfn_list, vfio_iommu_type1_pin_pages, 6.16
 */
export function addToPfnList(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  offset: number,
  pfn: Pfn,
): number {
  if (iommu.memory.injected?.alloc()) {
    return iommu.fail(Errno.ENOMEM, 'vfio_add_to_pfn_list', {
      iova: externalIova(iommu, iovaPn, offset),
    });
  }
  iommu.counters.add(Slot.vpfnAllocs, 1);
  dma.pfnList.insert(new VfioPfn(iovaPn, pfn, offset));
  markDirty(iommu, dma, iovaPn, 1);
  return 0;
}

/** Pins and charges one page of a process; returns its frame or a negative errno. */
function pinPageExternal(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  offset: number,
  doAccounting: boolean,
  batch: VfioBatch,
): Pfn {
  if (dma.mm.mmUsers === 0) {
    const iova = externalIova(iommu, iovaPn, offset);
    return iommu.fail(Errno.ENODEV, 'vfio_pin_page_external', { iova, mmUsers: 0 });
  }
  // An address before the mapping leads to the memory before the mapping's.
  const vaddr = dma.vaddr + (iovaPn - dma.iovaPn);
  batch.size = 0;
  const got = vaddrGetPfns(iommu, dma, vaddr, 1, batch, 1, offset);
  if (got < 0) return refusedByGup(iommu, dma, got);
  const { pfn } = batch;
  const ret = doAccounting ? chargePage(iommu, dma, pfn) : 0;
  return ret < 0 ? ret : pfn;
}

/** Charges a page that is pinned, unless it is reserved; puts it over the limit. */
function chargePage(iommu: VfioIommu, dma: VfioDma, pfn: Pfn): number {
  const reserved = isInvalidReservedPfn(iommu.memory.memmap, pfn);
  countReservedTest(iommu.counters, pfn, reserved);
  const ret = reserved ? 0 : vfioLockAcct(dma, 1, false);
  if (ret === 0) return 0;
  unwindPfns(iommu, dma, pfn, 1);
  const limitPages = dma.task.memlockPages;
  const exceeded = `RLIMIT_MEMLOCK (${limitPages * iommu.pageSize}) exceeded`;
  iommu.memory.log.add('print', `vfio_pin_page_external: ${exceeded}`);
  return refusedByAcct(iommu, dma, 1, ret);
}
