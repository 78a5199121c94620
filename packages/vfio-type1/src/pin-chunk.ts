/**
 * The pin loop that the releases share: refill the batch, let the algorithm take entries out of it
 * while they continue the chunk, charge the chunk, release everything on an error.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16 and 6.18; reference type1.md §5
 */
import { Errno, Slot, type IovaPn, type Pfn, type Vpn } from '@pinfold/base';
import { nextPage, type VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { refusedByAcct, vfioLockAcct } from './lock-acct.ts';
import { countReservedTest, isInvalidReservedPfn, putPfns, putPfnsTraced } from './put-pfn.ts';
import { vaddrGetPfns } from './vaddr-get-pfns.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** A chunk while it grows: physically contiguous pages, all reserved or none. */
export class PinnedChunk {
  /** First page frame; 0 doubles as "not known yet", as in the kernel. */
  pfnBase: Pfn = 0;
  /** Pages pinned so far. */
  pinned = 0;
  /** Whether its pages are reserved: not charged, and nothing to unpin. */
  rsvd = false;
  /** Pages to charge. */
  lockAcct = 0;
}

/**
 * Takes entries out of the batch while they continue the chunk. Called once per refill; it adds to
 * `chunk.pinned` and `chunk.lockAcct` and moves `batch.offset` and `batch.size`.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn I/O virtual page of the batch's next entry
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param batch the batch, not empty
 * @param chunk the chunk
 * @returns 0 if the batch is empty now or its next entry does not continue the chunk; -ENOMEM over
 *   the limit
 */
export type AcceptBatch = (
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
) => number;

/**
 * Pins one physically contiguous chunk.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr first virtual page
 * @param npage pages wanted, at least 1; with disable_hugepages only one is taken
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param batch left-over entries of the chunk before; keeps those that do not continue this one
 * @param chunk gets the chunk
 * @param accept how the release takes entries out of the batch
 * @returns pages of the chunk; or -EFAULT, -ENOMEM, with the chunk and the batch released
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16
 */
export function pinPagesRemote(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
  accept: AcceptBatch,
): number {
  const want = iommu.params.disableHugepages ? 1 : npage;
  const { tracer } = iommu.counters;
  tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
  startChunk(iommu, batch, chunk);
  let ret = 0;
  while (chunk.pinned < want) {
    if (batch.size === 0) {
      const got = vaddrGetPfns(iommu, dma, vaddr + chunk.pinned, want - chunk.pinned, batch);
      if (got < 0) {
        ret = refusedByGup(iommu, dma, got);
        break;
      }
      if (chunk.pfnBase === 0) setBase(iommu, chunk, batch.pfn);
      if (batch.size === 0) {
        if (!joinsChunk(iommu, chunk, batch.pfn)) break;
        chunk.pinned += got;
        continue;
      }
    }
    const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
    ret = accept(iommu, dma, iovaPn, limit, batch, chunk);
    if (ret < 0 || batch.size > 0) break;
  }
  if (ret === 0) ret = chargeChunk(iommu, dma, chunk);
  const done = ret === 0 ? chunk.pinned : unwindChunk(iommu, dma, batch, chunk, ret);
  tracer?.exit('vfio_pin_pages_remote', done);
  return done;
}

/**
 * Releases a chunk that failed, and what is left in the batch.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param batch the batch, empty afterwards
 * @param chunk the chunk, not charged
 * @param ret why it failed
 * @returns `ret`
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote (its error path), 6.16
 */
export function unwindChunk(
  iommu: VfioIommu,
  dma: VfioDma,
  batch: VfioBatch,
  chunk: PinnedChunk,
  ret: number,
): number {
  if (chunk.pinned > 0 && !chunk.rsvd) unwindPfns(iommu, dma, chunk.pfnBase, chunk.pinned);
  batchUnpin(iommu, dma, batch);
  return ret;
}

/**
 * Puts pages that will not be part of a mapping, page by page.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param pfn first page frame
 * @param npage number of pages
 * @param refused whether RLIMIT_MEMLOCK has refused them, which only a tracer sees; default no
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.12 and 6.16
 */
export function unwindPfns(
  iommu: VfioIommu,
  dma: VfioDma,
  pfn: Pfn,
  npage: number,
  refused = false,
): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unwindPuts, npage);
  if (tracer === null) putPfns(iommu, pfn, npage, dma.prot);
  for (let i = 0; i < npage && tracer !== null; i++) {
    tracer.enter('put_pfn', pfn + i, refused ? 1 : 0);
    putPfnsTraced(iommu, pfn + i, 1, dma.prot, tracer);
    tracer.exit('put_pfn');
  }
}

/**
 * Unpins what is left in a batch; it was never charged.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param batch the batch, empty afterwards
 * @source drivers/vfio/vfio_iommu_type1.c vfio_batch_unpin, 6.16
 */
export function batchUnpin(iommu: VfioIommu, dma: VfioDma, batch: VfioBatch): void {
  const { memmap } = iommu.memory;
  for (; batch.size > 0; batch.size--, batch.offset++) {
    putPfns(iommu, memmap.pageToPfn(nextPage(batch)), 1, dma.prot);
  }
}

/**
 * Fails a pin that would exceed RLIMIT_MEMLOCK.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param lockAcct pages of the chunk that are to be charged
 * @param more pages that would be added
 * @param limit RLIMIT_MEMLOCK in pages
 * @returns -ENOMEM
 */
export function overLimit(
  iommu: VfioIommu,
  dma: VfioDma,
  lockAcct: number,
  more: number,
  limit: number,
): number {
  const exceeded = `RLIMIT_MEMLOCK (${limit * iommu.pageSize}) exceeded`;
  iommu.memory.log.add('print', `vfio_pin_pages_remote: ${exceeded}`);
  return iommu.fail(Errno.ENOMEM, 'vfio_pin_pages_remote', {
    lockedVmPages: dma.mm.lockedVm,
    chunkPages: lockAcct,
    morePages: more,
    limitPages: limit,
  });
}

/**
 * Begins a chunk: with the entry that the chunk before has left over, or with nothing known.
 *
 * @param iommu the container's state
 * @param batch the batch
 * @param chunk gets the beginning
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16
 */
export function startChunk(iommu: VfioIommu, batch: VfioBatch, chunk: PinnedChunk): void {
  iommu.counters.add(Slot.pinPagesRemoteCalls, 1);
  chunk.pfnBase = 0;
  chunk.pinned = 0;
  chunk.rsvd = false;
  chunk.lockAcct = 0;
  if (batch.size > 0) setBase(iommu, chunk, iommu.memory.memmap.pageToPfn(nextPage(batch)));
}

/**
 * Sets the first frame of a chunk, and with it whether the chunk is reserved.
 *
 * @param iommu the container's state
 * @param chunk the chunk
 * @param pfn first page frame
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16
 */
export function setBase(iommu: VfioIommu, chunk: PinnedChunk, pfn: Pfn): void {
  chunk.pfnBase = pfn;
  chunk.rsvd = isInvalidReservedPfn(iommu.memory.memmap, pfn);
  countReservedTest(iommu.counters, pfn, chunk.rsvd);
}

/** Whether frames of device memory continue the chunk; they hold no pin and are not charged. */
function joinsChunk(iommu: VfioIommu, chunk: PinnedChunk, pfn: Pfn): boolean {
  iommu.counters.add(Slot.pfnCompares, 1);
  return pfn === chunk.pfnBase + chunk.pinned && chunk.rsvd;
}

/**
 * Charges a chunk to the owner of the mapping.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param chunk the chunk
 * @returns 0; -ENOMEM over RLIMIT_MEMLOCK
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16
 */
export function chargeChunk(iommu: VfioIommu, dma: VfioDma, chunk: PinnedChunk): number {
  const ret = vfioLockAcct(dma, chunk.lockAcct, false);
  return ret === 0 ? 0 : refusedByAcct(iommu, dma, chunk.lockAcct, ret);
}

/**
 * Fails a pin whose pages could not be had.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param ret what {@link vaddrGetPfns} returned
 * @returns `ret`
 */
export function refusedByGup(iommu: VfioIommu, dma: VfioDma, ret: number): number {
  const failure = dma.mm.gupFailure;
  return iommu.fail(-ret, 'vaddr_get_pfns', failure ? { vpn: failure.vpn, why: failure.why } : {});
}
