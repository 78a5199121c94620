/**
 * The pin loop before 5.12: one GUP call per page. Whether memory goes on contiguously is found out
 * by pinning the next page, which is put again if it does not.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vaddr_get_pfn, 5.11; reference
 * strategies.md (a)
 */
import { Slot, type Pfn, type Vpn } from '@pinfold/base';
import { exceedsMemlock } from '@pinfold/mm';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { isPinnedExternally } from './find-vpfn.ts';
import {
  chargeChunk,
  overLimit,
  refusedByGup,
  setBase,
  startChunk,
  unwindChunk,
  unwindPfns,
  type PinnedChunk,
} from './pin-chunk.ts';
import { isInvalidReservedPfn, traceInlinedTest } from './put-pfn.ts';
import { vaddrGetPfns } from './vaddr-get-pfns.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Pins more pages behind one that was found to continue the chunk, without GUP; it charges them in
 * `chunk.lockAcct`.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr virtual page of the page before them
 * @param pfn its page frame
 * @param npage pages that are wanted behind it
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param chunk the chunk; the page before them is charged, but not yet in `chunk.pinned`
 * @returns pages pinned, or a negative errno
 */
export type PinBehind = (
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  pfn: Pfn,
  npage: number,
  limit: number,
  chunk: PinnedChunk,
) => number;

/**
 * Pins one physically contiguous chunk, page by page.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr first virtual page
 * @param npage pages wanted, at least 1; with disable_hugepages only one is taken
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param batch an empty batch: its array holds the one page of a GUP call
 * @param chunk gets the chunk
 * @param pinBehind pins more behind an accepted page, or null
 * @returns pages of the chunk; or -EFAULT, -ENOMEM, with the chunk released
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 5.11
 */
export function pinPageByPage(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
  pinBehind: PinBehind | null,
): number {
  const { tracer } = iommu.counters;
  tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
  startChunk(iommu, batch, chunk);
  let ret = getPfn(iommu, dma, vaddr, batch);
  if (ret < 0) ret = refusedByGup(iommu, dma, ret);
  else {
    setBase(iommu, chunk, batch.pfn);
    ret = chargePage(iommu, dma, vaddr, limit, chunk);
    if (ret < 0) unwindPfns(iommu, dma, batch.pfn, 1, true);
    else chunk.pinned = 1;
    if (ret === 0 && !iommu.params.disableHugepages)
      ret = lookAhead(iommu, dma, vaddr, npage, limit, batch, chunk, pinBehind);
    if (ret === 0) ret = chargeChunk(iommu, dma, chunk);
  }
  const done = ret === 0 ? chunk.pinned : unwindChunk(iommu, dma, batch, chunk, ret);
  tracer?.exit('vfio_pin_pages_remote', done);
  return done;
}

/**
 * Pins the next page again and again, until one does not continue the chunk or cannot be had; the
 * next chunk will begin with that one, and find out why.
 *
 * @returns 0, or a negative errno
 */
function lookAhead(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
  pinBehind: PinBehind | null,
): number {
  let compares = 0;
  let ret = 0;
  while (chunk.pinned < npage) {
    const at = vaddr + chunk.pinned;
    if (getPfn(iommu, dma, at, batch) < 0) break;
    const { pfn } = batch;
    compares++;
    const fits = pfn === chunk.pfnBase + chunk.pinned && isAlike(iommu, pfn, chunk.rsvd);
    if (fits) ret = chargePage(iommu, dma, at, limit, chunk);
    if (!fits || ret < 0) {
      unwindPfns(iommu, dma, pfn, 1, fits);
      break;
    }
    if (pinBehind !== null) {
      const left = npage - chunk.pinned - 1;
      ret = pinBehind(iommu, dma, at, pfn, left, limit, chunk);
      if (ret < 0) break;
      chunk.pinned += ret;
      ret = 0;
    }
    chunk.pinned++;
  }
  iommu.counters.add(Slot.pfnCompares, compares);
  return ret;
}

/** vaddr_get_pfn: one page, left in `batch.pfn`; returns a negative errno if there is none. */
function getPfn(iommu: VfioIommu, dma: VfioDma, vaddr: Vpn, batch: VfioBatch): number {
  const got = vaddrGetPfns(iommu, dma, vaddr, 1, batch, 1);
  // It is the caller's from here on, and never an entry that waits for the next chunk.
  batch.size = 0;
  return got;
}

/** Whether a frame is reserved like the chunk. */
function isAlike(iommu: VfioIommu, pfn: Pfn, rsvd: boolean): boolean {
  const { counters, memory } = iommu;
  const reserved = isInvalidReservedPfn(memory.memmap, pfn);
  counters.add(Slot.reservedTests, 1);
  if (counters.tracer !== null) traceInlinedTest(counters.tracer, pfn, reserved);
  return reserved === rsvd;
}

/** Charges a page of the chunk unless it is reserved, or pinned externally; returns 0 or -ENOMEM. */
function chargePage(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  limit: number,
  chunk: PinnedChunk,
): number {
  if (chunk.rsvd || isPinnedExternally(iommu, dma, vaddr - dma.vaddr + dma.iovaPn)) return 0;
  iommu.counters.add(Slot.limitTests, 1);
  if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct + 1, limit))
    return overLimit(iommu, dma, chunk.lockAcct, 1, limit);
  chunk.lockAcct++;
  return 0;
}
