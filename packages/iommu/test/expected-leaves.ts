/**
 * The leaves of one map by the rule on whole ranges: the largest size for which iova and frame are
 * congruent makes the body, what is left on both sides is filled with the next smaller sizes.
 *
 * @source reference iommu.md §12, rule 3
 */
import type { IoLeaf } from '../src/formats/format.ts';

/** Leaves in address order; `orders` are the page sizes, ascending. */
export function expectedLeaves(
  orders: readonly number[],
  iovaPn: number,
  pfn: number,
  npage: number,
  prot: number,
): IoLeaf[] {
  const leaves: IoLeaf[] = [];
  const fill = (start: number, end: number, sizes: readonly number[]): void => {
    const order = sizes.at(-1);
    if (order === undefined || start === end) return;
    const pages = 2 ** order;
    const from = Math.ceil(start / pages) * pages;
    const to = Math.floor(end / pages) * pages;
    const smaller = sizes.slice(0, -1);
    if ((iovaPn - pfn) % pages !== 0 || from >= to) {
      fill(start, end, smaller);
      return;
    }
    fill(start, from, smaller);
    for (let at = from; at < to; at += pages) {
      leaves.push({ iovaPn: at, pfn: pfn + at - iovaPn, order, prot });
    }
    fill(to, end, smaller);
  };
  fill(iovaPn, iovaPn + npage, orders);
  return leaves;
}

/** Leaves as text: comparing thousands of objects would take most of the time of a test. */
export function listed(leaves: Iterable<IoLeaf>): string {
  return Array.from(
    leaves,
    ({ iovaPn, pfn, order, prot }) => `${iovaPn}+${order}:${pfn} ${prot}`,
  ).join('\n');
}
