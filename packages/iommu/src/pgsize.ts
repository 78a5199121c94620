/**
 * The page size that the IOMMU core hands to a driver next, and how many pages of it.
 *
 * @source drivers/iommu/iommu.c iommu_pgsize, 6.16; reference iommu.md §2 and §13
 */
import { isAligned, offsetIn, pagesOf, type IovaPn, type Pfn } from '@pinfold/base';

/** A choice of {@link iommuPgsize}. */
export class Pgsize {
  /** log2 of the page size in pages. */
  order = 0;
  /** Pages of that size. */
  count = 0;
}

/**
 * Chooses the largest page size that alignment and length allow, and as many pages of it as fit
 * before the point where a larger size could start.
 *
 * @param pageOrders orders of the supported sizes in pages, ascending, not empty
 * @param iovaPn first I/O virtual page
 * @param pfn first page frame; for an unmap the same as `iovaPn`
 * @param npage length in pages, at least the smallest size
 * @param out gets the choice
 * @source drivers/iommu/iommu.c iommu_pgsize, 6.16
 */
export function iommuPgsize(
  pageOrders: readonly number[],
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  out: Pgsize,
): void {
  // What is aligned to a size is aligned to all smaller ones.
  let i = 0;
  while (i + 1 < pageOrders.length) {
    const larger = pageOrders[i + 1];
    if (pagesOf(larger) > npage || !isAligned(iovaPn, larger) || !isAligned(pfn, larger)) break;
    i++;
  }
  const order = pageOrders[i];
  let length = npage;
  if (i + 1 < pageOrders.length) {
    const next = pageOrders[i + 1];
    if (isAligned(iovaPn - pfn, next)) {
      const nextPages = pagesOf(next);
      const toBoundary = nextPages - offsetIn(iovaPn, next);
      if (toBoundary + nextPages <= npage) length = toBoundary;
    }
  }
  out.order = order;
  out.count = Math.floor(length / pagesOf(order));
}
