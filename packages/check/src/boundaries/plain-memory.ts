/** Memory of one kind, for classes in which something else is special. */
import * as fc from 'fast-check';
import { frames, HUGE, HUGE_ORDER, placed, type Scene, type Slot } from './scene.ts';

/** Kinds of memory, by what their frames are like. */
const KINDS = {
  // Frames that follow each other, and frames that do not.
  run: (pfn: number) => [frames(pfn, 16)],
  scattered: (pfn: number) => [0, 1, 2, 3, 4, 5, 6, 7].map((i) => frames(pfn + 2 * i, 1)),
  runs: (pfn: number) => [frames(pfn, 3), frames(pfn + 8, 5), frames(pfn + 32, 1)],
  folios: (pfn: number) => [frames(pfn, 16, 4), frames(pfn + 64, 16, 4)],
  huge: (pfn: number) => [frames(pfn, HUGE, HUGE_ORDER)],
  huges: (pfn: number) => [frames(pfn, HUGE, HUGE_ORDER), frames(pfn + 2 * HUGE, HUGE, HUGE_ORDER)],
} as const;

const KIND_NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];

/**
 * Memory of one kind.
 *
 * @param slot where it goes
 * @returns the arbitrary
 */
export function plainMemory(slot: Slot): fc.Arbitrary<Scene> {
  const { index, vpn, pfn } = slot;
  return fc
    .record({ kind: fc.constantFrom(...KIND_NAMES), hugetlb: fc.boolean() })
    .map(({ kind, hugetlb }) => {
      const extents = KINDS[kind](pfn);
      const npage = extents.reduce((sum, extent) => sum + extent.npage, 0);
      const isHuge = extents[0].order === HUGE_ORDER;
      const memory = [placed(`P${index}`, isHuge && hugetlb ? 'huge2m' : 'anon', vpn, extents)];
      const edges = [0, extents[0].npage, npage >> 1, npage];
      return { memory, areas: [{ vpn, npage, edges }] };
    });
}
