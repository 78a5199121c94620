/**
 * Writing one leaf after the other into one table: the inner loop of mapping extents of which each is
 * one whole leaf. A function of its own, without a call inside, because a leaf costs it nothing but
 * its own loads and stores.
 *
 * @source drivers/iommu/intel/iommu.c __domain_mapping, 6.16
 */
import { LEAF, type Extents, type TableArena } from '@pinfold/base';

/** From this many leaves on, the built-in fill and copy beat a loop. */
const MANY = 32;

/**
 * Writes leaves of one size while the extents are whole leaves of that size and the entries absent.
 *
 * @param arena the tables
 * @param index entry of the first leaf
 * @param isNew whether the table has no entry yet
 * @param extents the extents
 * @param from index of the first extent
 * @param to index after the last extent that the table has an entry for
 * @param pages pages of a leaf: 1, 2^9 or 2^18
 * @param bits access bits of the leaves
 * @returns leaves written
 */
export function writeLeaves(
  arena: TableArena,
  index: number,
  isNew: boolean,
  extents: Extents,
  from: number,
  to: number,
  pages: number,
  bits: number,
): number {
  const whole = extents.unit === pages ? to - from : wholeLeaves(extents, from, to, pages);
  // An entry of a directory is absent if neither a leaf nor a table is there.
  const used = pages === 1 ? arena.bits : arena.child;
  const n = isNew ? whole : absentEntries(used, index, whole);
  const { child, frame, bits: access } = arena;
  if (n >= MANY) {
    frame.set(extents.pfn.subarray(from, from + n), index);
    access.fill(bits, index, index + n);
    if (pages > 1) child.fill(LEAF, index, index + n);
    return n;
  }
  for (let i = 0; i < n; i++) {
    frame[index + i] = extents.pfn[from + i];
    access[index + i] = bits;
    if (pages > 1) child[index + i] = LEAF;
  }
  return n;
}

/** How many extents, from one on, are whole leaves. */
function wholeLeaves({ pfn, npage }: Extents, from: number, to: number, pages: number): number {
  const within = pages - 1;
  let i = from;
  for (; i < to; i++) {
    const length = npage[i];
    if ((length !== pages && length !== -pages) || (pfn[i] & within) !== 0) break;
  }
  return i - from;
}

/** How many entries of a table, from one on, are absent. */
function absentEntries(used: Uint8Array | Int32Array, index: number, max: number): number {
  let n = 0;
  while (n < max && used[index + n] === 0) n++;
  return n;
}
