/**
 * `extent`: our own, what a kernel could do that had no page array between GUP and the IOMMU. A walk
 * over page-table leaves pins each folio once and makes extents of them; thousands of extents are
 * charged at once, mapped one behind the other, and remembered, eight bytes each. Unmapping takes the whole
 * mapping out of the IOMMU in one call, and puts each folio once. Nothing is done per 4 KiB page
 * unless the folio is one.
 *
 * What the page table says is all it relies on: not that a folio is mapped whole, nor that what follows
 * it in the address space follows it in memory. `docs/extent.md` says what a kernel would need.
 *
 * @source reference strategies.md (j)
 */
import type { Extents } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import type { VfioDma } from '../dma.ts';
import { ExtentList, extentsOf } from '../extent-list.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import {
  PinnedExtents,
  pinExtents,
  releaseFrom,
  scratchExtents,
  waitingError,
} from '../pin-extents.ts';
import { pinMapByChunks } from '../pin-map.ts';
import { unpinListed } from '../unpin-listed.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/**
 * Maps extents in every domain behind what the mapping has, which grows by what all have mapped.
 * Returns 0, or the error of the first extent that could not be mapped: it and those behind it are in
 * no domain then.
 */
function mapExtents(iommu: VfioIommu, dma: VfioDma, extents: Extents): number {
  const { domainList } = iommu;
  const iovaPn = dma.iovaPn + dma.npage;
  let count = extents.count;
  let pages = 0;
  let ret = 0;
  for (let i = 0; i < domainList.length; i++) {
    const { domain } = domainList[i];
    const error = domain.mapExtents(iovaPn, extents, count, dma.prot | IOMMU.CACHE);
    const surplus = pages - domain.extentPagesMapped;
    for (let done = i - 1; done >= 0 && surplus > 0; done--)
      domainList[done].domain.unmap(iovaPn + domain.extentPagesMapped, surplus);
    count = domain.extentsMapped;
    pages = domain.extentPagesMapped;
    if (error === 0) continue;
    const [pfn, npage] = [extents.pfn[count], Math.abs(extents.npage[count])];
    ret = iommu.fail(-error, 'iommu_map', { iovaPn: iovaPn + pages, pfn, npage });
  }
  dma.npage += pages;
  if (count < extents.count) vfioLockAcct(dma, -releaseFrom(iommu, dma, extents, count), true);
  return ret;
}

/** {@link PinAlgorithm.pinMap}, thousands of extents at a time. */
function pinMapExtents(iommu: VfioIommu, dma: VfioDma, npage: number, limit: number): number {
  const list = extentsOf(dma);
  let ret = 0;
  while (dma.npage < npage && ret === 0) {
    const pins = scratchExtents(iommu);
    const got = pinExtents(iommu, dma, dma.vaddr + dma.npage, npage - dma.npage, limit, pins);
    if (got < 0) return got;
    ret = mapExtents(iommu, dma, pins.extents);
    if (pins.extents.count > 0) list.push(pins.take());
    if (ret === 0) ret = waitingError(iommu, dma, limit, pins);
  }
  return ret;
}

/** The registry's entry. */
export const extent: PinAlgorithm = definePinAlgorithm({
  name: 'extent',
  summary: 'page-table leaves become extents, pinned, mapped and remembered; no page array',
  source: 'pinfold; in no kernel, never posted',

  pinMap: (iommu, dma, npage, limit) =>
    iommu.params.disableHugepages
      ? pinMapByChunks(iommu, dma, npage, limit)
      : pinMapExtents(iommu, dma, npage, limit),

  pinChunk(iommu, dma, vaddr, npage, limit, _batch, chunk) {
    const pins = new PinnedExtents(iommu.memory.memmap, 1);
    const want = iommu.params.disableHugepages ? 1 : npage;
    const got = pinExtents(iommu, dma, vaddr, want, limit, pins);
    if (got < 0) return got;
    chunk.pfnBase = pins.extents.pfn[0];
    chunk.pinned = got;
    chunk.rsvd = pins.extents.npage[0] < 0;
    extentsOf(dma).append(iommu, pins.extents);
    return got;
  },

  unpinRegion: (iommu, dma, iovaPn, pfn, npage, doAccounting) =>
    unpinListed(extentsOf(dma), iommu, dma, iovaPn, pfn, npage, doAccounting),

  nextUnmapRun(_iommu, dma, _iovaPn, npage, run) {
    run.pfn = extentsOf(dma).pfn;
    run.npage = npage;
  },

  forget(iommu, dma) {
    if (!(dma.pinState instanceof ExtentList)) return;
    const scratch = scratchExtents(iommu);
    for (const block of dma.pinState.blocks) scratch.giveBack(block);
    dma.pinState = null;
  },
});
