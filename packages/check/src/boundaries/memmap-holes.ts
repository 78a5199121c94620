/** The end of memory in the middle of a section: what is behind has `struct page`s, reserved ones. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, placed, type Scene, type Slot } from './scene.ts';

/** First frame of the section behind the hole, and where its memory ends. */
const SECTION = 0x20000;
const MEMORY_END = SECTION + 0x1000;
const BAR_PAGES = 64;

/** The registry's entry. */
export const memmapHoles: BoundaryClass = {
  name: 'holes in the memmap',
  summary: 'memory beside a hole of a section, or beside reserved pages, with a BAR in the hole',
  ownsMachine: true,
  scene: (slot) =>
    fc
      .record({ where: fc.constantFrom('start', 'end'), pages: fc.constantFrom(1, 3, 8) })
      .map(({ where, pages }) => sceneOf(slot, where, pages)),
  steps: { map: 6, unmap: 4, unmapAll: 1 },
};

/** At the end of a section's memory, reserved pages follow; before its start, there is no memmap. */
function sceneOf({ index, vpn }: Slot, where: 'start' | 'end', pages: number): Scene {
  const pfn = where === 'start' ? SECTION : MEMORY_END - pages;
  const bar = where === 'start' ? SECTION - BAR_PAGES : MEMORY_END;
  const place = { size: BigInt(BAR_PAGES) << 12n, prot: 'rw', flags: [] };
  const behind = vpn + (where === 'start' ? BAR_PAGES : 0);
  const barVpn = vpn + (where === 'start' ? 0 : pages);
  return {
    machine: {
      memory: [
        { pfn: 0, npage: 0x18000 },
        { pfn: SECTION, npage: MEMORY_END - SECTION },
      ],
      bar: { pfn: bar, npage: BAR_PAGES },
    },
    before: [
      { op: 'addgroup', dev: 'ivsh16' },
      { op: 'device', dev: 'ivsh16' },
    ],
    memory: [
      placed(`R${index}`, 'anon', behind, [frames(pfn, pages)]),
      {
        ...({ op: 'mmap', name: `V${index}`, kind: 'bar', dev: 'ivsh16', bar: 2 } as const),
        ...{ ...place, addr: BigInt(barVpn) << 12n },
      },
    ],
    areas: [{ vpn, npage: BAR_PAGES + pages, edges: [0, behind - vpn, barVpn - vpn] }],
  };
}
