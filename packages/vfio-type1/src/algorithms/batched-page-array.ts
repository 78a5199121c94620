/**
 * `batched-page-array`: what 5.12 to 6.12 do. As `batched`, but a refill is handed a plain array of
 * `struct page` pointers: a frame of a pfn mapping has none, so a refill yields one such frame. And
 * because a refill of one entry may be such a frame, which the array cannot keep for the next chunk,
 * one that does not continue the chunk is put and dropped; the next chunk gets it again.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vaddr_get_pfns, 6.12; reference
 * type1.md §3 and §5.1 (V612)
 */
import { Slot, type Pfn, type Vpn } from '@pinfold/base';
import { nextPage, type VfioBatch } from '../batch.ts';
import { acceptPages } from '../accept-pages.ts';
import type { VfioDma } from '../dma.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import {
  chargeChunk,
  refusedByGup,
  setBase,
  startChunk,
  unwindChunk,
  unwindPfns,
  type PinnedChunk,
} from '../pin-chunk.ts';
import { isInvalidReservedPfn } from '../put-pfn.ts';
import { vaddrGetPfns } from '../vaddr-get-pfns.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** No frame was left alone by a refill. */
const NONE = -1;

/** Pins one physically contiguous chunk; with disable_hugepages, no more than one refill of it. */
function pinPagesRemote(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
): number {
  const { tracer } = iommu.counters;
  tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
  startChunk(iommu, batch, chunk);
  let ret = 0;
  let lone: Pfn = NONE;
  while (chunk.pinned < npage) {
    const at = vaddr + chunk.pinned;
    if (batch.size === 0) {
      const want = Math.min(npage - chunk.pinned, batch.capacity);
      const got = vaddrGetPfns(iommu, dma, at, want, batch, 1);
      if (got < 0) {
        ret = refusedByGup(iommu, dma, got);
        break;
      }
      if (chunk.pfnBase === 0) setBase(iommu, chunk, batch.pfn);
    }
    if (batch.size === 0) {
      // A frame of a pfn mapping: the leaf may map more of them, but the array has no place for it.
      if (!acceptPfn(iommu, chunk, batch.pfn)) lone = batch.pfn;
    } else ret = acceptPages(iommu, dma, at - dma.vaddr + dma.iovaPn, limit, batch, chunk);
    if (ret < 0 || batch.size > 0 || lone !== NONE || iommu.params.disableHugepages) break;
  }
  if (ret === 0) ret = chargeChunk(iommu, dma, chunk);
  if (batch.size === 1 && batch.offset === 0) {
    lone = iommu.memory.memmap.pageToPfn(nextPage(batch));
    batch.size = 0;
  }
  if (lone !== NONE) unwindPfns(iommu, dma, lone, 1);
  const done = ret === 0 ? chunk.pinned : unwindChunk(iommu, dma, batch, chunk, ret);
  tracer?.exit('vfio_pin_pages_remote', done);
  return done;
}

/** Takes a frame of a pfn mapping if it continues the chunk; it holds no pin and is not charged. */
function acceptPfn(iommu: VfioIommu, chunk: PinnedChunk, pfn: Pfn): boolean {
  const { counters, memory } = iommu;
  counters.add(Slot.pfnCompares, 1);
  if (pfn !== chunk.pfnBase + chunk.pinned) return false;
  counters.add(Slot.reservedTests, 1);
  if (isInvalidReservedPfn(memory.memmap, pfn) !== chunk.rsvd) return false;
  chunk.pinned++;
  return true;
}

/** The registry's entry. */
export const batchedPageArray: PinAlgorithm = definePinAlgorithm({
  name: 'batched-page-array',
  summary:
    'as batched, but pfn mappings page by page, and a lone entry that does not fit is dropped',
  repins: true,
  source: 'Daniel Jordan, kernel 5.12; in 6.12',

  pinChunk: pinPagesRemote,
});
