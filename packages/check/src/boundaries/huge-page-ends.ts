/** Huge pages and their ends: mappings that begin or end beside one. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, HUGE, HUGE_ORDER, placed, type Scene, type Slot } from './scene.ts';

/** The registry's entry. */
export const hugePageEnds: BoundaryClass = {
  name: 'ends of huge pages',
  summary: 'several huge pages in one area, physically adjacent or not',
  scene: (slot) =>
    fc
      .record({
        kind: fc.constantFrom('huge2m' as const, 'anon' as const, 'memfd2m' as const),
        order: fc.constantFrom([0, 1], [1, 0], [0, 2], [3, 1], [0, 1, 2], [0, 1, 3], [0, 1, 2, 4]),
      })
      .map(({ kind, order }) => sceneOf(slot, kind, order)),
  steps: { map: 6, unmap: 4, unmapAll: 1 },
};

function sceneOf(
  { index, vpn, pfn }: Slot,
  kind: 'huge2m' | 'anon' | 'memfd2m',
  order: readonly number[],
): Scene {
  const extents = order.map((at) => frames(pfn + at * HUGE, HUGE, HUGE_ORDER));
  const shared = kind === 'memfd2m' ? { flags: ['shared' as const] } : {};
  const npage = order.length * HUGE;
  const edges = [0, HUGE, HUGE, npage - HUGE, npage];
  return {
    memory: [placed(`H${index}`, kind, vpn, extents, shared)],
    areas: [{ vpn, npage, edges }],
  };
}
