/** Devices without an IOMMU that have pages of a mapping pinned, huge pages above all. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

const DEVICES = ['both', 'emulated'] as const;

/** The registry's entry. */
export const externalPins: BoundaryClass = {
  name: 'external pins inside a huge page',
  summary: 'pages that devices have pinned before, while and after an IOMMU maps them',
  scene: (slot) =>
    fc
      .tuple(plainMemory(slot), fc.constantFrom(...DEVICES))
      .map(([scene, devices]) => ({ ...scene, devices })),
  steps: { map: 4, unmap: 3, pin: 5, unpin: 2, domain: 2 },
};

/** The registry's entry. */
export const unalignedPins: BoundaryClass = {
  name: 'unaligned external pins',
  summary: 'pins at addresses inside pages, beside pins of the same and of other pages',
  scene: externalPins.scene,
  steps: { map: 4, unmap: 3, pin: 2, pinInside: 5, unpin: 2, domain: 2 },
};
