/** RLIMIT_MEMLOCK that is reached in the middle of a mapping. */
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** The registry's entry. */
export const limits: BoundaryClass = {
  name: 'limits hit half way',
  summary:
    'RLIMIT_MEMLOCK around the size of the mapping, also with pages that devices have pinned',
  scene: (slot) => plainMemory(slot).map((scene) => ({ ...scene, devices: 'both' as const })),
  steps: { map: 6, unmap: 3, limit: 4, pin: 1, unpin: 1 },
};
