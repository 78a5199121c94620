/** Dirty bitmaps, read at ranges that do and do not begin with the mapping. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

const DEVICES = ['both', 'emulated', 'emulated'] as const;

/** The registry's entry. */
export const dirtyBitmaps: BoundaryClass = {
  name: 'dirty bitmaps',
  summary: 'dirty pages of what devices have pinned, with and without an IOMMU',
  scene: (slot) =>
    fc
      .tuple(plainMemory(slot), fc.constantFrom(...DEVICES))
      .map(([scene, devices]) => ({ ...scene, devices })),
  begins: ['dirty', 'map', 'pin'],
  steps: { map: 2, unmap: 2, pin: 3, unpin: 2, domain: 1, dirty: 8 },
};
