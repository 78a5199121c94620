/** A pin algorithm whose steps are looked at from outside, as a reviewer would. */
import type { PhysRun } from '@pinfold/iommu';
import { hex, hexPages } from '@pinfold/scenario';
import type { PinAlgorithm, VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import type { AlgorithmAudit } from './audit.ts';
import { violation } from './violation.ts';

/** Where a watched algorithm tells what it sees. */
export interface Watcher {
  /** The audit of the machine that runs it. */
  audit: AlgorithmAudit | null;
}

/**
 * Watches an algorithm: what an unmap takes for contiguous, and what is unpinned before its time.
 *
 * @param algorithm the algorithm
 * @param watcher told of what is wrong
 * @returns the algorithm, watched
 */
export function watched(algorithm: PinAlgorithm, watcher: Watcher): PinAlgorithm {
  return {
    ...algorithm,
    nextUnmapRun(iommu, dma, iovaPn, npage, run) {
      const { vmstat } = iommu.memory;
      const before = vmstat.nrFollPinReleased;
      algorithm.nextUnmapRun(iommu, dma, iovaPn, npage, run);
      const early = vmstat.nrFollPinReleased - before;
      if (early > 0) tellEarly(watcher, early, 'before it is unmapped');
      checkRun(watcher, dma, iovaPn, npage, run);
    },
    unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting) {
      const { vmstat } = iommu.memory;
      const before = vmstat.nrFollPinReleased;
      const ret = algorithm.unpinRegion(iommu, dma, iovaPn, pfn, npage, doAccounting);
      const early = vmstat.nrFollPinReleased - before - npage;
      if (early > 0) tellEarly(watcher, early, 'behind the region that was flushed');
      return ret;
    },
  };
}

function tellEarly({ audit }: Watcher, pages: number, when: string): void {
  audit?.note(violation('order', `${pages} pages are unpinned ${when}`));
}

/** A run must be what was mapped, unless the algorithm has a list of its own to unpin from. */
function checkRun(
  { audit }: Watcher,
  dma: VfioDma,
  iovaPn: VfioIommu['dmaAvail'],
  npage: number,
  run: PhysRun,
): void {
  if (run.pfn === 0 || dma.pinState !== null) return;
  const at = iovaPn - dma.iovaPn;
  if (run.npage > npage) {
    const what = `the unmap of ${run.npage} pages at iova ${hexPages(iovaPn)} goes ${run.npage - npage} pages beyond the mapping`;
    audit?.note(violation('scan', what));
    return;
  }
  const seen = audit?.seen(dma);
  if (!seen) return;
  const other = seen.firstOther(at, run.pfn, run.npage);
  if (other < 0) return;
  const [frame, taken] = [seen.frameAt(other), run.pfn + (other - at)];
  const what = `the unmap at iova ${hexPages(iovaPn)} takes ${run.npage} pages for contiguous, but page ${other - at} is frame ${hex(frame)}, not ${hex(taken)}`;
  audit?.note(violation('scan', what));
}
