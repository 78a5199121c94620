/** Two areas of memory side by side, whose frames do not follow each other. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, HUGE, HUGE_ORDER, placed, type Scene, type Slot } from './scene.ts';

/** The registry's entry. */
export const twoVmas: BoundaryClass = {
  name: 'two VMAs',
  summary: 'a huge page or a folio, and other memory right behind it in the next VMA',
  scene: (slot) =>
    fc
      .record({
        first: fc.constantFrom('hugetlb', 'thp', 'folio', 'pages'),
        second: fc.constantFrom('hugetlb', 'pages', 'slice'),
        gap: fc.constantFrom(0, 1, 2),
      })
      .map(({ first, second, gap }) => sceneOf(slot, first, second, gap)),
  steps: { map: 6, unmap: 4, unmapAll: 1, process: 1 },
};

type Kind = 'hugetlb' | 'thp' | 'folio' | 'pages' | 'slice';

/** `gap` huge pages lie between the frames of the two. */
function sceneOf({ index, vpn, pfn }: Slot, first: Kind, second: Kind, gap: number): Scene {
  const [a, b] = [`A${index}`, `B${index}`];
  const one = memory(a, first, vpn, pfn, true);
  const two = memory(b, second, vpn + one.npage, pfn + HUGE + gap * HUGE, false);
  const npage = one.npage + two.npage;
  const edges = [0, one.npage, one.npage, npage];
  return { memory: [one.operation, two.operation], areas: [{ vpn, npage, edges }] };
}

function memory(
  name: string,
  kind: Kind,
  vpn: number,
  pfn: number,
  atEnd: boolean,
): { operation: ReturnType<typeof placed>; npage: number } {
  const extent = {
    hugetlb: frames(pfn, HUGE, HUGE_ORDER),
    thp: frames(pfn, HUGE, HUGE_ORDER),
    // The last pages before the next frames, so that those may follow physically.
    folio: frames(atEnd ? pfn + HUGE - 16 : pfn, 16, 4),
    pages: frames(atEnd ? pfn + HUGE - 3 : pfn, 3),
    slice: frames(pfn + 4, 8, 4),
  }[kind];
  const operation = placed(name, kind === 'hugetlb' ? 'huge2m' : 'anon', vpn, [extent]);
  return { operation, npage: extent.npage };
}
