/**
 * `page-list`: what Jason Gunthorpe proposed in December 2020, as RDMA does it, never written for
 * type1. All pages of a mapping are pinned into a scatter list first, by fast GUP; then the IOMMU gets
 * entry after entry. Unmapping needs no frame from the IOMMU: it takes the whole mapping in one call,
 * and the list knows what to unpin.
 *
 * Where the mails leave it open: the limit is checked, and everything charged, before the first page is
 * pinned. What is charged follows from the VMAs, because device memory, which is not, is all a
 * pfn mapping's; external pins are counted run by run of memory. Device memory is in the list as
 * addresses without pages. What fails later releases the whole list.
 *
 * @source Jason Gunthorpe, Daniel Jordan, mails of December 2020; drivers/infiniband/core/umem.c
 * ib_umem_get, 6.16; reference strategies.md (h)
 */
import { Slot, type Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import {
  exceedsMemlock,
  FOLL,
  pinUserPagesFast,
  sgAllocAppendTableFromPages,
  VM,
  type SgAppendTable,
} from '@pinfold/mm';
import type { VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import { PageList, pageListOf } from '../page-list.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { chargeChunk, overLimit, refusedByGup, type PinnedChunk } from '../pin-chunk.ts';
import { pfnsWithoutGup } from '../vaddr-get-pfns.ts';
import { unpinListed } from '../unpin-listed.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { vpfnPages } from '../vpfn-pages.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** Pages to charge for a range: memory that no device has pinned, up to the first hole. */
function pagesToCharge(iommu: VfioIommu, dma: VfioDma, vaddr: Vpn, npage: number): number {
  const end = vaddr + npage;
  let pages = 0;
  let at = vaddr;
  for (const vma of dma.mm.vmas.overlapping(vaddr, end)) {
    if (vma.start > at) break;
    const next = Math.min(end, vma.end);
    if (!(vma.flags & VM.PFNMAP))
      pages += next - at - vpfnPages(iommu, dma, at - dma.vaddr + dma.iovaPn, next - at);
    at = next;
  }
  return pages;
}

/** Charges a whole range before any of it is pinned; returns 0 or -ENOMEM. */
function chargeAhead(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  chunk: PinnedChunk,
): number {
  chunk.lockAcct = pagesToCharge(iommu, dma, vaddr, npage);
  if (chunk.lockAcct === 0) return 0;
  iommu.counters.add(Slot.limitTests, 1);
  if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct, limit))
    return overLimit(iommu, dma, 0, chunk.lockAcct, limit);
  return chargeChunk(iommu, dma, chunk);
}

/** Pins a range into a list, an array of pages at a time; returns 0 or a negative errno. */
function pinAll(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
  table: SgAppendTable,
): number {
  const { memory } = iommu;
  const flags = FOLL.LONGTERM | (dma.prot & IOMMU.WRITE ? FOLL.WRITE : 0);
  while (table.pages < npage) {
    const at = vaddr + table.pages;
    const left = npage - table.pages;
    const got = pinUserPagesFast(dma.mm, at, Math.min(left, batch.capacity), flags, batch.pages);
    if (got > 0) {
      sgAllocAppendTableFromPages(memory, table, batch.pages, got);
      continue;
    }
    const pfns = pfnsWithoutGup(iommu, dma, at, left, batch, got);
    if (pfns < 0) return refusedByGup(iommu, dma, pfns);
    table.appendAddresses(batch.pfn, pfns);
  }
  return 0;
}

/** Makes the list of what is left of a mapping; returns 0, or a negative errno and no list. */
function makeList(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
): number {
  const charged = chargeAhead(iommu, dma, vaddr, npage, limit, chunk);
  if (charged < 0) return charged;
  const list = new PageList(vaddr - dma.vaddr + dma.iovaPn);
  const ret = pinAll(iommu, dma, vaddr, npage, batch, list.table);
  if (ret === 0) dma.pinState = list;
  else {
    list.releaseAll(iommu, dma, false);
    vfioLockAcct(dma, -chunk.lockAcct, true);
  }
  return ret;
}

/** The registry's entry. */
export const pageList: PinAlgorithm = definePinAlgorithm({
  name: 'page-list',
  summary: 'everything is pinned into a scatter list first; unmapping releases the list',
  source: 'Jason Gunthorpe, mail of December 2020; as ib_umem_get does, never written for type1',
  limitFirst: true,

  pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk) {
    const { counters, params } = iommu;
    const { tracer } = counters;
    counters.add(Slot.pinPagesRemoteCalls, 1);
    tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
    let ret = 0;
    if (!(dma.pinState instanceof PageList))
      ret = makeList(iommu, dma, vaddr, npage, limit, batch, chunk);
    if (dma.pinState instanceof PageList) {
      dma.pinState.take(params.disableHugepages ? 1 : npage, chunk);
      ret = chunk.pinned;
    }
    tracer?.exit('vfio_pin_pages_remote', ret);
    return ret;
  },

  unpinRegion: (iommu, dma, iovaPn, pfn, npage, doAccounting) =>
    unpinListed(pageListOf(dma), iommu, dma, iovaPn, pfn, npage, doAccounting),

  nextUnmapRun(_iommu, dma, iovaPn, npage, run) {
    run.pfn = pageListOf(dma).pfnAt(iovaPn);
    run.npage = npage;
  },

  forget(iommu, dma) {
    if (!(dma.pinState instanceof PageList)) return;
    const list = dma.pinState;
    dma.pinState = null;
    list.releaseAll(iommu, dma, true);
    vfioLockAcct(dma, list.locked - list.unlocked, true);
  },
});
