/**
 * `folio-v2-2025`: Li Zhe's second and third version of 19 and 21 May 2025, never merged. As
 * `batched`, but a step takes what is left of the folio, or of the batch, if no page of it is pinned
 * externally; else one page.
 *
 * The entries of the batch are not looked at: where a private mapping has copied a page of the folio,
 * or shows only a part of it, the folio's own page is mapped in place of the right one. David
 * Hildenbrand's review of 20 May 2025. And vfio_find_vpfn became the range form for one page, which
 * finds nodes at unaligned addresses too (the fix of 25 July 2025 names it).
 *
 * @source reference strategies.md (e2)
 */
import { Slot, type IovaPn } from '@pinfold/base';
import { exceedsMemlock, folioPagesLeft } from '@pinfold/mm';
import { nextPage, type VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import { isAnyPinnedExternally } from '../find-vpfn.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { overLimit, pinPagesRemote, type PinnedChunk } from '../pin-chunk.ts';
import { isInvalidReservedPfn } from '../put-pfn.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** Takes entries folio by folio: the tests of the first page are made for all of it. */
function acceptFolios(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
): number {
  const { memory, counters } = iommu;
  const { memmap } = memory;
  const first = iovaPn - chunk.pinned;
  let folioLookups = 0;
  let reservedTests = 0;
  let limitTests = 0;
  let ret = 0;
  while (batch.size > 0) {
    const pfn = memmap.pageToPfn(nextPage(batch));
    folioLookups++;
    if (pfn !== chunk.pfnBase + chunk.pinned) break;
    reservedTests++;
    if (isInvalidReservedPfn(memmap, pfn) !== chunk.rsvd) break;
    const at = first + chunk.pinned;
    let nr = Math.min(batch.size, folioPagesLeft(memmap, pfn)) | 0;
    if (nr > 1 && isAnyPinnedExternally(iommu, dma, at, nr)) nr = 1;
    if (!chunk.rsvd && (nr > 1 || !isAnyPinnedExternally(iommu, dma, at, 1))) {
      limitTests++;
      if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct + nr, limit)) {
        ret = overLimit(iommu, dma, chunk.lockAcct, nr, limit);
        break;
      }
      chunk.lockAcct += nr;
    }
    chunk.pinned += nr;
    batch.offset += nr;
    batch.size -= nr;
  }
  counters.add(Slot.folioLookups, folioLookups);
  counters.add(Slot.pfnCompares, folioLookups);
  counters.add(Slot.reservedTests, reservedTests);
  counters.add(Slot.limitTests, limitTests);
  return ret;
}

/** The registry's entry. */
export const folioV22025: PinAlgorithm = definePinAlgorithm({
  name: 'folio-v2-2025',
  summary: 'as batched, but as many entries at once as the folio has pages left',
  source: 'Li Zhe, v2 and v3 of 19 and 21 May 2025, not merged',
  defects: [
    'entries of a batch are taken for consecutive pages of the folio (David Hildenbrand, 20 May 2025)',
    'the look-up of one page finds nodes at unaligned addresses in it (fix of 25 July 2025)',
  ],
  vpfnSpan: 'page',

  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptFolios),
});
