/**
 * `hugetlb-v1-2025`: Li Zhe's first version of 13 May 2025, never merged. As `batched`, but if the
 * next entry of the batch is hugetlb and no page of the batch is pinned externally, the whole batch
 * is taken with one test of everything.
 *
 * Nothing shows that the batch is one physical run: pages that follow the huge page only in virtual
 * addresses are taken for its physical successors. Alex Williamson's review of 15 May 2025.
 *
 * @source reference strategies.md (e)
 */
import { Slot, type IovaPn } from '@pinfold/base';
import { exceedsMemlock, pageHuge } from '@pinfold/mm';
import { acceptPages } from '../accept-pages.ts';
import { nextPage, type VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import { isAnyPinnedExternally } from '../find-vpfn.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { overLimit, pinPagesRemote, type PinnedChunk } from '../pin-chunk.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** Takes a batch that begins in a hugetlb page as a whole; others, page by page. */
function acceptHugetlbBatch(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
): number {
  const { memory, counters } = iommu;
  const pfn = memory.memmap.pageToPfn(nextPage(batch));
  if (!iommu.params.disableHugepages) counters.add(Slot.hugetlbTests, 1);
  if (iommu.params.disableHugepages || !pageHuge(memory.memmap, pfn))
    return acceptPages(iommu, dma, iovaPn, limit, batch, chunk);
  counters.add(Slot.pfnCompares, 1);
  if (pfn !== chunk.pfnBase + chunk.pinned) return 0;
  if (chunk.rsvd || isAnyPinnedExternally(iommu, dma, iovaPn, batch.size))
    return acceptPages(iommu, dma, iovaPn, limit, batch, chunk);
  counters.add(Slot.limitTests, 1);
  if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct + batch.size, limit))
    return overLimit(iommu, dma, chunk.lockAcct, batch.size, limit);
  chunk.pinned += batch.size;
  chunk.lockAcct += batch.size;
  batch.offset += batch.size;
  batch.size = 0;
  return 0;
}

/** The registry's entry. */
export const hugetlbV12025: PinAlgorithm = definePinAlgorithm({
  name: 'hugetlb-v1-2025',
  summary: 'as batched, but a batch that begins in a hugetlb page is taken as a whole',
  source: 'Li Zhe, v1 of 13 May 2025, not merged',
  defects: [
    'a batch that begins in a hugetlb page is taken for one physical run (Alex Williamson, 15 May 2025)',
  ],

  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptHugetlbBatch),
});
