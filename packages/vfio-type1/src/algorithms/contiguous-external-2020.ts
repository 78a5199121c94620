/**
 * `contiguous-external-2020`: Xu Xiaoyang's second version of 21 November 2020, never merged. What
 * devices without an IOMMU pin is cut into ranges of consecutive pages of one mapping that are not
 * pinned yet: {1,5,6,7,9} is {1}, {5,6,7}, {9}. A range is pinned by one GUP call and charged at once;
 * a range of one page, as before. Mapping and unmapping are those of its kernel (5.10): page by page.
 *
 * The posted v2 was at hand only in its description; what that does not name is as in v1 of 10
 * November 2020. So a range that GUP does not pin as a whole, or whose charge is refused, is gone on
 * with page by page, which Alex Williamson's review of 13 November 2020 asked the reason of. It also
 * names that RLIMIT_MEMLOCK is tested only when up to 512 pages are pinned.
 *
 * @source reference strategies.md (c)
 */
import { Errno, Slot, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { FOLL, pinUserPagesRemote } from '@pinfold/mm';
import { VfioBatch } from '../batch.ts';
import { markDirty } from '../dirty.ts';
import type { VfioDma } from '../dma.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { unwindPfns } from '../pin-chunk.ts';
import {
  dmaToPin,
  NO_PAGE,
  pinNewPage,
  takeKnownPage,
  unwindExternal,
  type ExternalPinRequest,
} from '../pin-external.ts';
import { pinPageByPage } from '../pin-page-by-page.ts';
import { isInvalidReservedPfn } from '../put-pfn.ts';
import { findVpfn } from '../unpin-external.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { VfioPfn } from '../vpfn.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** Pins range by range. */
function pinRanges(iommu: VfioIommu, request: ExternalPinRequest): number {
  const doAccounting = iommu.domainList.length === 0;
  const batch = new VfioBatch(iommu.memory.memmap.pageArray(1));
  for (let i = 0; i < request.npage;) {
    const dma = dmaToPin(iommu, request, i);
    if (typeof dma === 'number') return unwindExternal(iommu, request, i, doAccounting, dma);
    if (takeKnownPage(iommu, dma, request, i)) {
      i++;
      continue;
    }
    const end = i + contiguousLength(iommu, dma, request, i);
    if (end > i + 1) i += Math.max(0, pinRange(iommu, dma, request, i, end - i, doAccounting));
    for (; i < end; i++) {
      const ret = pinNewPage(iommu, dma, request, i, doAccounting, batch);
      if (ret < 0) return unwindExternal(iommu, request, i, doAccounting, ret);
    }
  }
  return request.npage;
}

/** Pages from one on that are consecutive, in its mapping, and not pinned by a device. */
function contiguousLength(
  iommu: VfioIommu,
  dma: VfioDma,
  { iovaPn, offset, npage }: ExternalPinRequest,
  i: number,
): number {
  let n = 1;
  for (; i + n < npage; n++) {
    const next = iovaPn[i] + n;
    if (iovaPn[i + n] !== next || offset[i + n] !== offset[i]) break;
    if (next >= dma.iovaPn + dma.npage || findVpfn(iommu, dma, next, offset[i])) break;
  }
  return n;
}

/** Pins a range by one GUP call; returns pages pinned from its first on, or a negative errno. */
function pinRange(
  iommu: VfioIommu,
  dma: VfioDma,
  { iovaPn, offset, pages }: ExternalPinRequest,
  from: number,
  npage: number,
  doAccounting: boolean,
): number {
  if (dma.mm.mmUsers === 0) return -Errno.ENODEV;
  const { memmap } = iommu.memory;
  const first = iovaPn[from];
  const vaddr = dma.vaddr + (first - dma.iovaPn);
  const flags = FOLL.LONGTERM | (dma.prot & IOMMU.WRITE ? FOLL.WRITE : 0);
  const pinned = memmap.pageArray(npage);
  const got = pinUserPagesRemote(dma.mm, vaddr, npage, flags, pinned, offset[from]);
  if (got <= 0) return got;
  let charged = 0;
  for (let i = 0; i < got; i++) {
    const pfn = memmap.pageToPfn(pinned[i]);
    dma.pfnList.insert(new VfioPfn(first + i, pfn, offset[from]));
    if (!isInvalidReservedPfn(memmap, pfn)) charged++;
    pages[from + i] = pinned[i];
  }
  iommu.counters.add(Slot.vpfnAllocs, got);
  iommu.counters.add(Slot.reservedTests, got);
  markDirty(iommu, dma, first, got);
  const ret = doAccounting ? vfioLockAcct(dma, charged, true) : 0;
  if (ret === 0) return got;
  for (let i = 0; i < got; i++) {
    dropPage(iommu, dma, first + i, offset[from], memmap.pageToPfn(pinned[i]));
    pages[from + i] = NO_PAGE;
  }
  return ret;
}

/** Takes back a page of a range that could not be charged. */
function dropPage(iommu: VfioIommu, dma: VfioDma, iovaPn: number, offset: number, pfn: Pfn): void {
  unwindPfns(iommu, dma, pfn, 1);
  const vpfn = findVpfn(iommu, dma, iovaPn, offset);
  if (vpfn) dma.pfnList.erase(vpfn);
}

/** The registry's entry. */
export const contiguousExternal2020: PinAlgorithm = definePinAlgorithm({
  name: 'contiguous-external-2020',
  summary: 'page-at-a-time, but devices without an IOMMU pin a range of pages by one GUP call',
  source: 'Xu Xiaoyang, v2 of 21 November 2020, not merged',
  repins: true,

  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPageByPage(iommu, dma, vaddr, npage, limit, batch, chunk, null),
  pinExternal: pinRanges,
});
