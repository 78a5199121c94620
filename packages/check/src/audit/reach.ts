/** What devices reach, against the pages of the mappings. */
import { pagesOf, type Pfn } from '@pinfold/base';
import { LeafRun, type IommuDomain } from '@pinfold/iommu';
import { hex, hexPages } from '@pinfold/scenario';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import type { SeenDma } from './seen-dma.ts';
import { violation, type CheckViolation } from './violation.ts';

type SeenDmas = ReadonlyMap<VfioDma, SeenDma>;

/** Leaves that are looked at. */
const run = new LeafRun();

/**
 * Compares the leaves of every domain with the mappings.
 *
 * @param iommus the containers' states
 * @param seen how the mappings were made
 * @returns the first page that a device reaches and must not, or does not reach; null without one
 */
export function firstWrongReach(
  iommus: readonly VfioIommu[],
  seen: SeenDmas,
): CheckViolation | null {
  for (const iommu of iommus) {
    for (const { domain } of iommu.domainList) {
      const found = reachOf(iommu, domain, seen);
      if (found) return found;
    }
  }
  return null;
}

/** Leaves and mappings, both in address order. */
function reachOf(
  { dmaList }: VfioIommu,
  domain: IommuDomain,
  seenDmas: SeenDmas,
): CheckViolation | null {
  let dma = dmaList.first();
  let done = 0;
  for (let from = 0; domain.nextLeaves(from, run);) {
    while (dma && run.iovaPn >= dma.iovaPn + dma.npage) {
      if (done < dma.npage) return missing(dma, done);
      dma = dmaList.next(dma);
      done = 0;
    }
    // Of leaves that go on behind the mapping, those that lie in it.
    const room = dma && run.iovaPn >= dma.iovaPn ? dma.iovaPn + dma.npage - run.iovaPn : 0;
    const npage = Math.min(run.leaves, Math.floor(room / pagesOf(run.order))) * pagesOf(run.order);
    if (!dma || npage <= 0) {
      const what = `the device reaches frame ${hex(run.pfn)} at iova ${hexPages(run.iovaPn)}, where nothing is mapped`;
      return violation('reach', what);
    }
    from = run.iovaPn + npage;
    const at = run.iovaPn - dma.iovaPn;
    if (at > done) return missing(dma, done);
    const seen = seenDmas.get(dma);
    const other = seen ? seen.firstOther(at, run.pfn, npage) : at;
    if (other >= 0) return wrongPage(dma, other, run.pfn + (other - at), seen?.frameAt(other));
    done = at + npage;
  }
  while (dma) {
    if (done < dma.npage) return missing(dma, done);
    dma = dmaList.next(dma);
    done = 0;
  }
  return null;
}

function missing(dma: VfioDma, at: number): CheckViolation {
  return violation(
    'reach',
    `the device cannot reach iova ${hexPages(dma.iovaPn + at)}, which is mapped`,
  );
}

function wrongPage(dma: VfioDma, at: number, pfn: Pfn, expected: Pfn | undefined): CheckViolation {
  const where = `at iova ${hexPages(dma.iovaPn + at)} (page ${at} of the mapping)`;
  const right =
    expected === undefined || expected < 0 ? 'nothing is there' : `frame ${hex(expected)} is there`;
  return violation('reach', `the device reaches frame ${hex(pfn)} ${where}, where ${right}`);
}
