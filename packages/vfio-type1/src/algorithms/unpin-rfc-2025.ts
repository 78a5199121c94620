/**
 * `unpin-rfc-2025`: the first proposal for unmapping, of 5 June 2025. A step takes what is left of a
 * folio: its first page is tested twice, once for the length of the step and once for the put; then
 * the step is put as a range and its external pins are counted. For small folios that is more work
 * than page by page, which Alex Williamson measured. Pinning is that of `series-1-folio`.
 *
 * Left out: pages that a failed pin takes back go through the range put too, a page at a time.
 *
 * @source Li Zhe, RFC of 5 June 2025; reference strategies.md (g)
 */
import { Slot, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { folioPagesLeft, unpinUserPageRangeDirtyLock } from '@pinfold/mm';
import type { VfioDma } from '../dma.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinFolioRuns } from '../pin-runs.ts';
import { isInvalidReservedPfn } from '../put-pfn.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { vpfnPages } from '../vpfn-pages.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** get_step: pages of the region that one put takes; 1 for a reserved page. */
function stepAt(iommu: VfioIommu, pfn: Pfn, npage: number): number {
  const { memmap } = iommu.memory;
  return isInvalidReservedPfn(memmap, pfn) ? 1 : Math.min(npage, folioPagesLeft(memmap, pfn));
}

/** put_pfns: the pages of one folio as a range; returns the pages unpinned. */
function putInFolio(iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number): number {
  const { memory } = iommu;
  if (isInvalidReservedPfn(memory.memmap, pfn)) return 0;
  const dirty = (dma.prot & IOMMU.WRITE) !== 0;
  unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(pfn), npage, dirty);
  return npage;
}

/** The registry's entry. */
export const unpinRfc2025: PinAlgorithm = definePinAlgorithm({
  name: 'unpin-rfc-2025',
  summary: 'unmapping puts folio by folio, with two tests and a look-up each; pins inside folios',
  source: 'Li Zhe, RFC of 5 June 2025, not merged',
  defects: [
    'unmapping small folios is slower than page by page (Alex Williamson, 5 June 2025)',
    'vfio_find_vpfn finds the node after an unaligned address (the fix of 25 July 2025 names it)',
  ],
  vpfnSpan: 'page',

  pinChunk: pinFolioRuns,

  unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting) {
    const { counters } = iommu;
    const { tracer } = counters;
    counters.add(Slot.unpinPagesRemoteCalls, 1);
    tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
    let unlocked = 0;
    let locked = 0;
    let steps = 0;
    let folios = 0;
    for (let done = 0; done < npage; steps++) {
      const step = stepAt(iommu, pfn + done, npage - done);
      const put = putInFolio(iommu, dma, pfn + done, step);
      if (put > 0) {
        folios++;
        locked += vpfnPages(iommu, dma, iovaPn + done, step);
      }
      unlocked += put;
      done += step;
    }
    counters.add(Slot.reservedTests, 2 * steps);
    counters.add(Slot.folioLookups, folios);
    if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
    tracer?.exit('vfio_unpin_pages_remote', unlocked);
    return unlocked;
  },
});
