/**
 * Giving back pages that devices without an IOMMU have pinned.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unpin_pages, vfio_unpin_page_external,
 * vfio_iova_put_vfio_pfn, 6.16; reference type1.md §9.2 to §9.4
 */
import { byteAddress, pageNumber, Slot, type IovaPn } from '@pinfold/base';
import type { VfioDma } from './dma.ts';
import { vfioLockAcct } from './lock-acct.ts';
import { unwindPfns } from './pin-chunk.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import type { VfioPfn } from './vpfn.ts';

const AT = 'vfio_iommu_type1_unpin_pages';
const U64_END = 2n ** 64n;

/**
 * An I/O virtual address in bytes, for messages.
 *
 * @param iommu the container's state
 * @param iovaPn its page number
 * @param offset its offset in the page, in bytes
 * @returns the address
 */
export function externalIova(iommu: VfioIommu, iovaPn: IovaPn, offset: number): bigint {
  return byteAddress(iovaPn, iommu.pageShift) + BigInt(offset);
}

/**
 * The offset of an I/O virtual address in its page.
 *
 * @param iova address in bytes
 * @param pageShift log2 of the page size in bytes
 * @returns the offset in bytes
 */
export function offsetInPage(iova: bigint, pageShift: number): number {
  return Number(BigInt.asUintN(pageShift, iova));
}

/**
 * Whether the pages of a call wrap at 2^64, on releases that look.
 *
 * @param iommu the container's state
 * @param iova first I/O virtual address in bytes
 * @param npage number of pages
 * @returns true if the call is to be refused
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, 6.18
 */
export function externalRangeWraps(iommu: VfioIommu, iova: bigint, npage: number): boolean {
  return iommu.rules.externalRangeChecked && iova + byteAddress(npage, iommu.pageShift) > U64_END;
}

/**
 * The mapping that holds a page, or a part of it: one that is not aligned may lie in two.
 *
 * @param iommu the container's state
 * @param iovaPn page number of the I/O virtual address
 * @param offset its offset in the page, in bytes
 * @returns the first such mapping met from the root, or null
 * @source drivers/vfio/vfio_iommu_type1.c vfio_find_dma, 6.16
 */
export function findDmaOfPage(iommu: VfioIommu, iovaPn: IovaPn, offset: number): VfioDma | null {
  iommu.counters.add(Slot.dmaLookups, 1);
  return iommu.dmaList.find(iovaPn, offset > 0 ? 2 : 1);
}

/**
 * The node of a pinned page: one look-up, counted.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn page number of the I/O virtual address
 * @param offset its offset in the page, in bytes
 * @returns the node, or null
 * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn, 6.16
 */
export function findVpfn(
  iommu: VfioIommu,
  { pfnList }: VfioDma,
  iovaPn: IovaPn,
  offset: number,
): VfioPfn | null {
  const { counters, rules } = iommu;
  pfnList.nodesVisited = 0;
  const vpfn = pfnList.findAt(iovaPn, offset, rules.pinAlgorithm.vpfnSpan);
  counters.add(Slot.vpfnLookups, 1);
  counters.add(Slot.vpfnNodes, pfnList.nodesVisited);
  return vpfn;
}

/**
 * Gives back one reference to a page; with the last one the page is unpinned. A page that is not
 * pinned is passed over.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn page number of the I/O virtual address
 * @param offset its offset in the page, in bytes
 * @param doAccounting whether to take its charge back
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_page_external, 6.16
 */
export function unpinPageExternal(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  offset: number,
  doAccounting: boolean,
): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unpinPageExternalCalls, 1);
  tracer?.enter('vfio_unpin_page_external');
  const vpfn = findVpfn(iommu, dma, iovaPn, offset);
  let unlocked = 0;
  if (vpfn && --vpfn.refCount === 0) {
    unwindPfns(iommu, dma, vpfn.pfn, 1);
    unlocked = iommu.put.unlocked;
    dma.pfnList.erase(vpfn);
    if (doAccounting) vfioLockAcct(dma, -unlocked, true);
  }
  tracer?.exit('vfio_unpin_page_external', unlocked);
}

/**
 * Gives back pages, one reference each, up to the first that no mapping holds. Nobody is told.
 *
 * @param iommu the container's state
 * @param iova first I/O virtual address in bytes
 * @param npage number of pages, at least 1
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unpin_pages, 6.16 and 6.18
 */
export function vfioIommuType1UnpinPages(iommu: VfioIommu, iova: bigint, npage: number): void {
  const { tracer } = iommu.counters;
  const first = pageNumber(iova, iommu.pageShift);
  const offset = offsetInPage(iova, iommu.pageShift);
  iommu.counters.add(Slot.type1UnpinPagesCalls, 1);
  tracer?.enter('vfio_iommu_type1_unpin_pages', first, offset, npage);
  if (!iommu.v2) iommu.memory.warnOn(AT, 'type1 v1 has no external pins');
  else if (externalRangeWraps(iommu, iova, npage))
    iommu.memory.warnOn(AT, `${npage} pages from ${iova} on wrap`);
  else unpinEach(iommu, first, offset, npage);
  tracer?.exit('vfio_iommu_type1_unpin_pages');
}

function unpinEach(iommu: VfioIommu, first: IovaPn, offset: number, npage: number): void {
  const doAccounting = iommu.domainList.length === 0;
  for (let i = 0; i < npage; i++) {
    // It does not wrap: the last page of all is refused before, or not found.
    const iovaPn = first + i;
    const dma = findDmaOfPage(iommu, iovaPn, offset);
    if (!dma) {
      iommu.memory.warnOn(AT, `iova page ${iovaPn} is not mapped`);
      return;
    }
    unpinPageExternal(iommu, dma, iovaPn, offset, doAccounting);
  }
}
