/**
 * Writing one leaf after the other into one table: the inner loop of mapping extents of which each is
 * one whole leaf. A function of its own, without a call inside, because a leaf costs it nothing but
 * its own loads and stores.
 *
 * @source drivers/iommu/intel/iommu.c __domain_mapping, 6.16
 */
import { LEAF, type Extents, type TableArena } from '@pinfold/base';

/**
 * Writes leaves of one size while the extents are whole leaves of that size and the entries absent.
 *
 * @param arena the tables
 * @param index entry of the first leaf
 * @param extents the extents
 * @param from index of the first extent
 * @param to index after the last extent that the table has an entry for
 * @param pages pages of a leaf: 1, 2^9 or 2^18
 * @param bits access bits of the leaves
 * @returns leaves written
 */
export function writeLeaves(
  { child, frame, bits: access }: TableArena,
  index: number,
  { pfn, npage }: Extents,
  from: number,
  to: number,
  pages: number,
  bits: number,
): number {
  const toEntry = index - from;
  let i = from;
  for (; i < to; i++) {
    const first = pfn[i];
    const length = npage[i];
    if ((length !== pages && length !== -pages) || (first & (pages - 1)) !== 0) break;
    const entry = i + toEntry;
    if (access[entry] !== 0) break;
    if (pages > 1) {
      if (child[entry] !== 0) break;
      child[entry] = LEAF;
    }
    frame[entry] = first;
    access[entry] = bits;
  }
  return i - from;
}
