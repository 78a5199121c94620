/** A process that changes its memory while it is mapped, and devices that may only read it. */
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** The registry's entry. */
export const changingMemory: BoundaryClass = {
  name: 'memory that changes',
  summary: 'fork, copies on write, munmap, mprotect and madvise before and while it is mapped',
  scene: (slot) => plainMemory(slot).map((scene) => ({ ...scene, devices: 'both' as const })),
  steps: { map: 5, unmap: 3, process: 4, pin: 1, domain: 1 },
};
