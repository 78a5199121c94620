/** Two areas of memory side by side, whose frames do not follow each other. */
import type { FrameExtent } from '@pinfold/scenario';
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
  const one = extentOf(first, pfn, true);
  const two = extentOf(second, pfn + HUGE + gap * HUGE, false);
  const border = vpn + HUGE;
  const npage = one.npage + two.npage;
  const operations = [
    placed(a, kindOf(first), border - one.npage, [one]),
    placed(b, kindOf(second), border, [two]),
  ];
  const edges = [0, one.npage, one.npage, npage];
  return { memory: operations, areas: [{ vpn: border - one.npage, npage, edges }] };
}

function kindOf(kind: Kind): 'huge2m' | 'anon' {
  return kind === 'hugetlb' ? 'huge2m' : 'anon';
}

/** The last pages before the next frames, so that those may follow physically, or the first. */
function extentOf(kind: Kind, pfn: number, atEnd: boolean): FrameExtent {
  switch (kind) {
    case 'hugetlb':
    case 'thp':
      return frames(pfn, HUGE, HUGE_ORDER);
    case 'folio':
      return frames(atEnd ? pfn + HUGE - 16 : pfn, 16, 4);
    case 'pages':
      return frames(atEnd ? pfn + HUGE - 3 : pfn, 3);
    case 'slice':
      return frames(pfn + 4, 8, 4);
  }
}
