/** What devices reach. */
import { pagesOf } from '@pinfold/base';
import { IOMMU, type IommuDomain } from '@pinfold/iommu';
import type { VfioIommu } from '@pinfold/vfio-type1';
import type { FirstSeenDmas } from './first-seen.ts';
import type { Violations } from './violations.ts';

const RULE = 'the leaves of a domain are the mappings';

/**
 * The leaves of a domain, in address order, are the mappings: their pages, frames and access.
 *
 * @param iommu the mappings
 * @param domain the domain
 * @param seenDmas how the mappings were made
 * @param found told of what does not hold
 */
export function checkLeaves(
  { dmaList }: VfioIommu,
  domain: IommuDomain,
  seenDmas: FirstSeenDmas,
  found: Violations,
): void {
  let dma = dmaList.first();
  let done = 0;
  let at = 0;
  for (const { iovaPn, pfn, order, prot } of domain.leaves()) {
    if (dma?.npage === done) {
      dma = dmaList.next(dma);
      done = at = 0;
    }
    if (!dma || iovaPn !== dma.iovaPn + done || done + pagesOf(order) > dma.npage) {
      found.add(RULE, `a leaf at ${iovaPn}+${pagesOf(order)}`);
      return;
    }
    const { runs } = seenDmas.of(dma, found);
    while (at + 1 < runs.length && runs[at + 1].at <= done) at++;
    const expected = runs[at] ? runs[at].pfn + (done - runs[at].at) : -1;
    const inRun = runs[at] && done + pagesOf(order) <= runs[at].at + runs[at].npage;
    // Hardware may be unable to refuse reads of what it may write.
    const access =
      (prot & dma.prot) === dma.prot && (prot | IOMMU.READ) === (dma.prot | IOMMU.READ);
    if (pfn !== expected || !inRun || !access) {
      found.add(RULE, `${iovaPn} leads to ${pfn}/${prot}, not ${expected}/${dma.prot}`);
    }
    done += pagesOf(order);
  }
  if (dma && (done !== dma.npage || dmaList.next(dma))) {
    found.add(RULE, `no leaf at ${dma.iovaPn + done}`);
  }
}
