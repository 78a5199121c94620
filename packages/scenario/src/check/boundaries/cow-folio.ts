/** A private mapping of a file in large folios, of which the process has written some pages. */
import { byteAddress } from '@pinfold/base';
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, placed, type Scene, type Slot } from './scene.ts';

/** The registry's entry. */
export const cowFolio: BoundaryClass = {
  name: 'COWed page inside a folio',
  summary: 'pages of a file’s folio, with the process’s own copies among them',
  scene: (slot) =>
    fc
      .record({
        order: fc.constantFrom(2, 4, 9),
        folios: fc.constantFrom(1, 2),
        written: fc.uniqueArray(fc.nat(15), { minLength: 0, maxLength: 3, size: 'max' }),
        adjacent: fc.boolean(),
      })
      .map(({ order, folios, written, adjacent }) =>
        sceneOf(slot, order, folios, written, adjacent),
      ),
  steps: { map: 6, unmap: 4, unmapAll: 1, process: 1 },
};

/** Copies lie apart, or right behind the folio's frames. */
function sceneOf(
  { index, vpn, pfn }: Slot,
  order: number,
  folios: number,
  written: readonly number[],
  adjacent: boolean,
): Scene {
  const npage = folios * 2 ** order;
  const copies = pfn + (adjacent ? npage : 4096);
  const name = `F${index}`;
  const pages = written.map((page) => page % npage);
  const edges = [0, ...pages, ...pages.map((page) => page + 1), npage];
  return {
    memory: [
      placed(name, 'file', vpn, [frames(pfn, npage, order)], { path: `/root/${name}`, copies }),
      ...pages.map((page) => ({
        ...({ op: 'touch', mode: 'w', stride: 4096n } as const),
        ...{ va: byteAddress(vpn + page), size: 4096n },
      })),
    ],
    areas: [{ vpn, npage, edges }],
  };
}
