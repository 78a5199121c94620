/**
 * `unpin-folio-2025`: the successor of `unpin-rfc-2025`, the fourth version of 17 June 2025. External
 * pins are counted once per region; a step takes what is left of a folio, tests its first page once,
 * and drops the pins of the folio itself, so that no page pointer is counted on over a section
 * border. The third version put the step as a range instead. Superseded by `series-1-4`, which needs
 * no folio. Pinning is that of `series-1-folio`.
 *
 * @source Li Zhe, v4 of 17 June 2025; David Hildenbrand, 16 June 2025; reference strategies.md (g)
 */
import { Slot, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { folioPagesLeft, unpinUserFolioDirtyLocked } from '@pinfold/mm';
import type { VfioDma } from '../dma.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinFolioRuns } from '../pin-runs.ts';
import { isInvalidReservedPfn } from '../put-pfn.ts';
import { unpinCountedOnce } from '../unpin-range.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** Drops the pins folio by folio; returns the pages unpinned. */
function putFolios(iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number): number {
  const { memory, counters } = iommu;
  const { memmap } = memory;
  const dirty = (dma.prot & IOMMU.WRITE) !== 0;
  let unlocked = 0;
  let steps = 0;
  let folios = 0;
  for (let done = 0; done < npage; steps++) {
    if (isInvalidReservedPfn(memmap, pfn + done)) {
      done++;
      continue;
    }
    const nr = Math.min(npage - done, folioPagesLeft(memmap, pfn + done));
    unpinUserFolioDirtyLocked(memory, pfn + done, nr, dirty);
    folios++;
    unlocked += nr;
    done += nr;
  }
  counters.add(Slot.reservedTests, steps);
  counters.add(Slot.folioLookups, folios);
  return unlocked;
}

/** The registry's entry. */
export const unpinFolio2025: PinAlgorithm = definePinAlgorithm({
  name: 'unpin-folio-2025',
  summary: 'unmapping puts folio by folio, with a test each; pins in runs inside folios',
  source: 'Li Zhe, v4 of 17 June 2025, not merged',
  defects: [
    'vfio_find_vpfn finds the node after an unaligned address (the fix of 25 July 2025 names it)',
  ],
  vpfnSpan: 'page',

  pinChunk: pinFolioRuns,
  unpinRegion: (iommu, dma, iovaPn, pfn, npage, doAccounting) =>
    unpinCountedOnce(iommu, dma, iovaPn, pfn, npage, doAccounting, putFolios),
});
