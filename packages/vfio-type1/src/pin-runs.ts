/**
 * The pin loop of the series of 2025: entries leave the batch run by run. A run is consecutive
 * `struct page` pointers; in the series as posted on 30 June 2025 it ends with the folio, too.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.18; reference type1.md §5.2,
 * strategies.md (g)
 */
import { Slot, type IovaPn } from '@pinfold/base';
import { exceedsMemlock, folioPagesLeft, numPagesContiguous, numPfnsContiguous } from '@pinfold/mm';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import type { PinAlgorithm } from './pin-algorithm.ts';
import { overLimit, pinPagesRemote, type AcceptBatch, type PinnedChunk } from './pin-chunk.ts';
import { isInvalidReservedPfn, traceInlinedTest } from './put-pfn.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { vpfnPages } from './vpfn-pages.ts';

/**
 * {@link PinAlgorithm.pinChunk} with runs of consecutive page pointers (num_pages_contiguous): patch 1
 * of the final series.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.18
 */
export const pinRuns: PinAlgorithm['pinChunk'] = (iommu, dma, vaddr, npage, limit, batch, chunk) =>
  pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptRuns);

/**
 * {@link pinRuns}, which also notes in the mapping that a chunk is reserved: patch 3.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.18
 */
export const pinRunsNotingRsvd: PinAlgorithm['pinChunk'] = (
  iommu,
  dma,
  vaddr,
  npage,
  limit,
  batch,
  chunk,
) => {
  const ret = pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptRuns);
  if (ret > 0 && chunk.rsvd) dma.hasRsvd = true;
  return ret;
};

/**
 * {@link PinAlgorithm.pinChunk} with runs inside one folio (contig_pages): patch 1 as posted on
 * 30 June 2025.
 *
 * @source Li Zhe, patch 1/4 of 30 June 2025; reference strategies.md (g), g1-folio
 */
export const pinFolioRuns: PinAlgorithm['pinChunk'] = (
  iommu,
  dma,
  vaddr,
  npage,
  limit,
  batch,
  chunk,
) => pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptFolioRuns);

const acceptRuns: AcceptBatch = (iommu, dma, iovaPn, limit, batch, chunk) =>
  takeRuns(iommu, dma, iovaPn, limit, batch, chunk, false);

const acceptFolioRuns: AcceptBatch = (iommu, dma, iovaPn, limit, batch, chunk) =>
  takeRuns(iommu, dma, iovaPn, limit, batch, chunk, true);

/** Takes entries run by run: the tests of a page are made once for each run. */
function takeRuns(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
  inFolio: boolean,
): number {
  const { memory, counters } = iommu;
  const { memmap } = memory;
  const { tracer } = counters;
  const first = iovaPn - chunk.pinned;
  let pageCompares = 0;
  let pfnCompares = 0;
  let reservedTests = 0;
  let runs = 0;
  let limitTests = 0;
  let ret = 0;
  while (batch.size > 0) {
    const pfn = memmap.pageToPfn(batch.pages[batch.offset]);
    pfnCompares++;
    if (pfn !== chunk.pfnBase + chunk.pinned) break;
    reservedTests++;
    const reserved = isInvalidReservedPfn(memmap, pfn);
    if (tracer !== null) traceInlinedTest(tracer, pfn, reserved);
    if (chunk.rsvd !== reserved) break;
    const { pages, offset, size } = batch;
    const max = inFolio ? Math.min(size, folioPagesLeft(memmap, pfn)) : size;
    const nr = inFolio
      ? numPfnsContiguous(memmap, pages, offset, max, pfn)
      : numPagesContiguous(memmap, pages, offset, max);
    runs++;
    pageCompares += nr < max ? nr : nr - 1;
    const acct = chunk.rsvd ? 0 : nr - vpfnPages(iommu, dma, first + chunk.pinned, nr);
    // Negative where devices have pinned at several addresses of a page: that charge is returned.
    if (acct !== 0) {
      limitTests++;
      if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct + acct, limit)) {
        ret = overLimit(iommu, dma, chunk.lockAcct, acct, limit);
        break;
      }
      chunk.lockAcct += acct;
    }
    chunk.pinned += nr;
    batch.offset += nr;
    batch.size -= nr;
  }
  counters.add(Slot.pageCompares, pageCompares);
  counters.add(Slot.pfnCompares, pfnCompares);
  counters.add(Slot.reservedTests, reservedTests);
  counters.add(Slot.limitTests, limitTests);
  if (inFolio) counters.add(Slot.folioLookups, runs);
  return ret;
}
