/**
 * Taking entries out of a batch page by page: the inner loop of 5.12 to 6.17.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.16; reference type1.md §5.1
 */
import { Slot, type IovaPn } from '@pinfold/base';
import { exceedsMemlock, numPfnsContiguous } from '@pinfold/mm';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { overLimit, type PinnedChunk } from './pin-chunk.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Takes entries page by page: pfn compare, reserved test, vpfn look-up, limit test for each.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn I/O virtual page of the batch's next entry
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param batch the batch, not empty
 * @param chunk the chunk
 * @returns 0 if the batch is empty now or its next entry does not continue the chunk; -ENOMEM over
 *   the limit
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 6.12 and 6.16
 */
export function acceptPages(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  batch: VfioBatch,
  chunk: PinnedChunk,
): number {
  const { memmap } = iommu.memory;
  const { counters } = iommu;
  const { offset, size } = batch;
  const { rsvd } = chunk;
  // The tests of the kernel's one loop, each over all entries at once.
  const expected = chunk.pfnBase + chunk.pinned;
  const compared = numPfnsContiguous(memmap, batch.pages, offset, size, expected);
  const alike = memmap.invalidOrReservedRun(expected, compared, rsvd);
  const taken = rsvd ? alike : chargeEach(iommu, dma, iovaPn, alike, limit, chunk);
  counters.add(Slot.pfnCompares, Math.min(size, taken + 1));
  counters.add(Slot.reservedTests, Math.min(compared, taken + 1));
  chunk.pinned += taken;
  batch.offset = (offset + taken) | 0;
  batch.size = (size - taken) | 0;
  return taken < alike ? overLimit(iommu, dma, chunk.lockAcct, 1, limit) : 0;
}

/** A vpfn look-up and, unless it finds something, a limit test per page; returns pages accepted. */
function chargeEach(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  npage: number,
  limit: number,
  chunk: PinnedChunk,
): number {
  const tree = dma.pfnList;
  const charge = dma.mm.lockedVm + chunk.lockAcct;
  const refusesAny = exceedsMemlock(charge + 1, limit);
  const left = dma.lockCap ? npage : refusesAny ? 0 : limit - charge;
  const room = Math.max(0, Math.min(npage, left)) | 0;
  let charged = 0;
  tree.nodesVisited = 0;
  // In an empty tree, the common case, a look-up is the test of its root.
  while (charged < npage && tree.root === null && charged < room) charged++;
  let i = charged;
  for (; i < npage; i++) {
    if (tree.find(iovaPn + i) !== null) continue;
    if (charged >= room) break;
    charged++;
  }
  iommu.counters.add(Slot.vpfnLookups, Math.min(npage, i + 1));
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  iommu.counters.add(Slot.limitTests, i < npage ? charged + 1 : charged);
  chunk.lockAcct += charged;
  return i;
}
