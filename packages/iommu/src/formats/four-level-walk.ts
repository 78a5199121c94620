/**
 * The three loops of the contiguous scan over four levels of 512 entries, one per leaf size: a walk
 * from the root for every page, nothing remembered from the page before. They are functions of their
 * own, without a call inside, because that is worth a factor of two. A walk ends the loop when it
 * meets a leaf of another size, which is a negative table number, or an absent entry, which is 0.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin (the scan), drivers/iommu/intel/iommu.c
 * intel_iommu_iova_to_phys, 6.16
 */
import { LEAF, type PageNumbers, type Pfn } from '@pinfold/base';

/**
 * Counts pages that 4 KiB leaves translate to consecutive frames.
 *
 * @param child directory entries: tables, or {@link LEAF}
 * @param frame frames of the leaves
 * @param root first entry of the top table
 * @param high first page divided by 2^18
 * @param low first page modulo 2^18
 * @param end pages to look at
 * @param expected frame of the first page
 * @returns pages that translate to `expected`, `expected + 1`, and so on
 */
export function walkPages(
  child: Int32Array,
  frame: PageNumbers,
  root: number,
  high: number,
  low: number,
  end: number,
  expected: Pfn,
): number {
  let n = 0;
  for (; n < end; n++) {
    const at = low + n;
    const upper = high + (at >>> 18);
    const pd = child[(child[root + ((upper >>> 9) & 511)] << 9) + (upper & 511)];
    if (pd <= 0) break;
    const pt = child[(pd << 9) + ((at >>> 9) & 511)];
    if (pt <= 0 || frame[(pt << 9) + (at & 511)] !== expected + n) break;
  }
  return n;
}

/**
 * Counts pages that 2 MiB leaves translate to consecutive frames.
 *
 * @param child directory entries: tables, or {@link LEAF}
 * @param frame frames of the leaves
 * @param root first entry of the top table
 * @param high first page divided by 2^18
 * @param low first page modulo 2^18
 * @param end pages to look at
 * @param expected frame of the first page
 * @returns pages that translate to `expected`, `expected + 1`, and so on
 */
export function walk2m(
  child: Int32Array,
  frame: PageNumbers,
  root: number,
  high: number,
  low: number,
  end: number,
  expected: Pfn,
): number {
  let n = 0;
  for (; n < end; n++) {
    const at = low + n;
    const upper = high + (at >>> 18);
    const pd = child[(child[root + ((upper >>> 9) & 511)] << 9) + (upper & 511)];
    if (pd <= 0) break;
    const entry = (pd << 9) + ((at >>> 9) & 511);
    if (child[entry] !== LEAF || frame[entry] + ((at & 511) - n) !== expected) break;
  }
  return n;
}

/**
 * Counts pages that 1 GiB leaves translate to consecutive frames.
 *
 * @param child directory entries: tables, or {@link LEAF}
 * @param frame frames of the leaves
 * @param root first entry of the top table
 * @param high first page divided by 2^18
 * @param low first page modulo 2^18
 * @param end pages to look at
 * @param expected frame of the first page
 * @returns pages that translate to `expected`, `expected + 1`, and so on
 */
export function walk1g(
  child: Int32Array,
  frame: PageNumbers,
  root: number,
  high: number,
  low: number,
  end: number,
  expected: Pfn,
): number {
  let n = 0;
  for (; n < end; n++) {
    const at = low + n;
    const upper = high + (at >>> 18);
    const entry = (child[root + ((upper >>> 9) & 511)] << 9) + (upper & 511);
    if (child[entry] !== LEAF || frame[entry] + ((at & (2 ** 18 - 1)) - n) !== expected) break;
  }
  return n;
}
