/**
 * `series-1-4`: what 6.18 does, after all patches of the 2025 series. The pin loop takes runs of
 * consecutive `struct page` pointers, with one test of everything per run; unmapping puts a whole
 * physical range, one put per folio, unless the mapping has reserved pages.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote, 6.18;
 * reference type1.md §5.2 and §6, strategies.md (g)
 */
import { Slot, type IovaPn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { numPagesContiguous, unpinUserPageRangeDirtyLock } from '@pinfold/mm';
import type { VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { overLimit, pinPagesRemote, type PinnedChunk } from '../pin-chunk.ts';
import { isInvalidReservedPfn, putPfns } from '../put-pfn.ts';
import { scanIovaToPhys } from '../scan-iova-to-phys.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import type { VpfnTree } from '../vpfn.ts';

/** Takes entries run by run: the tests of a page are made once for each run. */
function acceptRuns(
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
  let pageCompares = 0;
  let pfnCompares = 0;
  let reservedTests = 0;
  let runs = 0;
  let ret = 0;
  while (batch.size > 0) {
    const pfn = memmap.pageToPfn(batch.pages[batch.offset]);
    pfnCompares++;
    if (pfn !== chunk.pfnBase + chunk.pinned) break;
    reservedTests++;
    if (chunk.rsvd !== isInvalidReservedPfn(memmap, pfn)) break;
    const nr = numPagesContiguous(memmap, batch.pages, batch.offset, batch.size);
    pageCompares += nr < batch.size ? nr : nr - 1;
    if (!chunk.rsvd) {
      const acct = nr - vpfnPages(iommu, dma.pfnList, first + chunk.pinned, nr);
      if (acct > 0) {
        runs++;
        if (!dma.lockCap && dma.mm.lockedVm + chunk.lockAcct + acct > limit) {
          ret = overLimit(iommu, dma, chunk.lockAcct, acct, limit);
          break;
        }
        chunk.lockAcct += acct;
      }
    }
    chunk.pinned += nr;
    batch.offset += nr;
    batch.size -= nr;
  }
  counters.add(Slot.pageCompares, pageCompares);
  counters.add(Slot.pfnCompares, pfnCompares);
  counters.add(Slot.reservedTests, reservedTests);
  counters.add(Slot.limitTests, runs);
  return ret;
}

/** One vpfn_pages look-up, counted. */
function vpfnPages(iommu: VfioIommu, tree: VpfnTree, iovaPn: IovaPn, npage: number): number {
  tree.nodesVisited = 0;
  const pages = tree.countInRange(iovaPn, npage);
  iommu.counters.add(Slot.vpfnLookups, 1);
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  return pages;
}

/** The registry's entry. */
export const series14: PinAlgorithm = {
  name: 'series-1-4',
  summary: 'runs of consecutive page pointers per batch; range unpin, one put per folio',
  source: 'Li Zhe, series of 30 June 2025, merged for 6.18',

  pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk) {
    const ret = pinPagesRemote(iommu, dma, vaddr, npage, limit, batch, chunk, acceptRuns);
    if (ret > 0 && chunk.rsvd) dma.hasRsvd = true;
    return ret;
  },

  unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting) {
    const { memory, counters } = iommu;
    const { tracer } = counters;
    counters.add(Slot.unpinPagesRemoteCalls, 1);
    tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
    const locked = vpfnPages(iommu, dma.pfnList, iovaPn, npage);
    let unlocked = npage;
    if (dma.hasRsvd) {
      putPfns(iommu, pfn, npage, dma.prot);
      unlocked = iommu.put.unlocked;
    } else {
      const dirty = (dma.prot & IOMMU.WRITE) !== 0;
      unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(pfn), npage, dirty);
    }
    if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
    tracer?.exit('vfio_unpin_pages_remote', unlocked);
    return unlocked;
  },

  nextUnmapRun: scanIovaToPhys,
};
