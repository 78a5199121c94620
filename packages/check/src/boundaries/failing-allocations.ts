/** Calls that fail in turn: the n-th frame, the n-th GUP, the n-th map of the IOMMU driver. */
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** The registry's entry. */
export const failingAllocations: BoundaryClass = {
  name: 'failing allocations',
  summary:
    'the n-th GUP, IOMMU map, charge, allocation, page fault or frame of a step fails, for every small n',
  scene: (slot) => plainMemory(slot).map((scene) => ({ ...scene, devices: 'both' as const })),
  steps: { map: 3, unmap: 3, fail: 6, pin: 2, unpin: 1, domain: 1 },
};
