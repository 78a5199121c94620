/** What a mapping says of itself: its size, its charge, its bitmap, its address. */
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import type { Charges } from './charges.ts';
import type { FirstSeen } from './first-seen.ts';
import type { Violations } from './violations.ts';

/**
 * Looks at one mapping.
 *
 * @param iommu its container's state
 * @param dma the mapping
 * @param seen how it was made
 * @param charges what it may be charged
 * @param found told of what does not hold
 */
export function checkMapping(
  iommu: VfioIommu,
  dma: VfioDma,
  seen: FirstSeen,
  charges: Charges,
  found: Violations,
): void {
  const { iovaPn, npage, bitmap } = dma;
  if (npage !== seen.npage) found.add('a mapping keeps its size', `${npage}, not ${seen.npage}`);
  charges.checkMapping(dma, seen, found);
  if ((bitmap !== null) !== iommu.dirtyPageTracking || (bitmap && bitmap.bits < npage)) {
    found.add('a mapping has a bitmap while dirty pages are tracked', `at ${iovaPn}`);
  }
  const usable = iommu.iovaList.some(
    ({ start, last }) => start <= iovaPn && iovaPn + npage - 1 <= last,
  );
  // Addresses matter to an IOMMU only.
  if (!usable && seen.iommuMapped) {
    found.add('a mapping lies in usable addresses', `at ${iovaPn}+${npage}`);
  }
}
