/** Devices without an IOMMU that have pages of a mapping pinned, huge pages above all. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { hugePageEnds } from './huge-page-ends.ts';
import { plainMemory } from './plain-memory.ts';
import type { Scene, Slot } from './scene.ts';

const DEVICES = ['both', 'emulated'] as const;

/** Memory of any kind, huge pages above all. */
function pinnedMemory(slot: Slot): fc.Arbitrary<Scene> {
  return fc.oneof(plainMemory(slot), hugePageEnds.scene(slot), hugePageEnds.scene(slot));
}

/** The registry's entry. */
export const externalPins: BoundaryClass = {
  name: 'external pins inside a huge page',
  summary: 'pages that devices have pinned before, while and after an IOMMU maps them',
  scene: (slot) =>
    fc
      .tuple(pinnedMemory(slot), fc.constantFrom(...DEVICES))
      .map(([scene, devices]) => ({ ...scene, devices })),
  begins: ['map', 'pin', 'attach'],
  steps: { map: 4, unmap: 1, pin: 6, unpin: 1, domain: 4, attach: 2 },
};

/** The registry's entry. */
export const pinsAcrossMappings: BoundaryClass = {
  name: 'external pins across mappings',
  summary: 'pins of several pages over the end of a mapping, with and without another behind it',
  scene: (slot) =>
    fc
      .tuple(plainMemory(slot), fc.constantFrom('emulated', 'emulated', 'both' as const))
      .map(([scene, devices]) => ({ ...scene, devices })),
  begins: ['map', 'mapNext', 'pinAcross'],
  steps: { mapNext: 2, unmap: 2, pinAcross: 4, pinLimit: 2, unpin: 2, domain: 1 },
};

/** The registry's entry. */
export const unalignedPins: BoundaryClass = {
  name: 'unaligned external pins',
  summary: 'pins at addresses inside pages, beside pins of the same and of other pages',
  scene: externalPins.scene,
  begins: ['map', 'pinInside', 'attach'],
  steps: { map: 4, unmap: 2, pin: 2, pinInside: 5, unpin: 1, domain: 4 },
};
