/** Memory that was only read: GUP may meet the zero page, which is reserved. */
import { byteAddress } from '@pinfold/base';
import type { Operation } from '@pinfold/guest';
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, placed, type Scene, type Slot } from './scene.ts';

const PAGES = 8;

/** The registry's entry. */
export const zeroPages: BoundaryClass = {
  name: 'zero pages',
  summary: 'anonymous memory that was only read, beside ordinary pages, mapped for reading',
  scene: (slot) =>
    fc
      .record({ before: fc.constantFrom(0, 2), read: fc.constantFrom(1, 3, PAGES) })
      .map(({ before, read }) => sceneOf(slot, before, read)),
  begins: ['mapRead'],
  steps: { mapRead: 6, map: 1, unmap: 4, unmapAll: 1 },
};

/** Ordinary pages, then pages of which some were read. */
function sceneOf({ index, vpn, pfn }: Slot, before: number, read: number): Scene {
  const va = byteAddress(vpn + before);
  const untouched: Operation = {
    ...({ op: 'mmap', name: `Z${index}`, kind: 'anon', prot: 'rw', flags: [] } as const),
    ...{ size: byteAddress(PAGES), addr: va },
  };
  const touch: Operation = { op: 'touch', mode: 'r', stride: 4096n, va, size: byteAddress(read) };
  const ordinary = before > 0 ? [placed(`R${index}`, 'anon', vpn, [frames(pfn, before)])] : [];
  return {
    memory: [...ordinary, untouched, touch],
    areas: [{ vpn, npage: before + PAGES, edges: [0, before, before + read, before + PAGES] }],
  };
}
