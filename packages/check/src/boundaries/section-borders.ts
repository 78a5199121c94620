/** Borders of memory sections, where `struct page` pointers of classic sparsemem jump. */
import { X86_64 } from '@pinfold/base';
import { MemMap, type MemoryRange } from '@pinfold/mm';
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { frames, placed, type Scene, type Slot } from './scene.ts';

/** 4 GiB: enough sections that some memory maps lie side by side whose sections do not. */
const MEMORY: readonly MemoryRange[] = [{ pfn: 0, npage: 32 * X86_64.sectionPages }];
/** Sections above those of other classes. */
const FIRST_SECTION = 5;
const SECTIONS = 32;
/** Pages on each side of a border. */
const SIDE = 8;

/** The registry's entry. */
export const sectionBorders: BoundaryClass = {
  name: 'section borders',
  summary: 'pages on both sides of a section border, and of sections whose page arrays touch',
  ownsMachine: true,
  scene: (slot) =>
    fc
      .record({
        model: fc.constantFrom('sparsemem' as const, 'sparsemem' as const, undefined),
        pair: fc.nat(strangers().length + 3),
      })
      .map(({ model, pair }) => sceneOf(slot, model, pair)),
  steps: { map: 6, unmap: 4, unmapAll: 1 },
};

function sceneOf({ index, vpn }: Slot, model: 'sparsemem' | undefined, pair: number): Scene {
  const next = FIRST_SECTION + (pair % 8);
  const [left, right] = strangers()[pair] ?? [next, next + 1];
  const extents = [
    frames((left + 1) * X86_64.sectionPages - SIDE, SIDE),
    frames(right * X86_64.sectionPages, SIDE),
  ];
  return {
    machine: { memory: MEMORY, ...(model && { model }) },
    memory: [placed(`S${index}`, 'anon', vpn, extents)],
    areas: [{ vpn, npage: 2 * SIDE, edges: [0, SIDE, SIDE, 2 * SIDE] }],
  };
}

let found: readonly (readonly [number, number])[] | null = null;

/** Sections whose page arrays follow each other in classic sparsemem, though they do not. */
function strangers(): readonly (readonly [number, number])[] {
  found ??= findStrangers();
  return found;
}

function findStrangers(): (readonly [number, number])[] {
  const memmap = new MemMap(MEMORY, 'sparsemem');
  const sections = Array.from({ length: SECTIONS }, (_, section) => section);
  const pageOf = (section: number): number => memmap.pfnToPage(section * X86_64.sectionPages);
  const above = sections.filter((section) => section >= FIRST_SECTION);
  return above.flatMap((left) =>
    above
      .filter((right) => right !== left + 1)
      .filter((right) => pageOf(right) === pageOf(left) + X86_64.sectionPages)
      .map((right) => [left, right] as const),
  );
}
