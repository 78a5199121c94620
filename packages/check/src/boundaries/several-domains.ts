/** Groups that come and go: every domain has to have every mapping. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** The registry's entry. */
export const severalDomains: BoundaryClass = {
  name: 'several domains',
  summary: 'a second domain, the first one gone, and mappings that no domain has',
  scene: (slot) =>
    fc
      .tuple(plainMemory(slot), fc.constantFrom('pci' as const, 'emulated' as const))
      .map(([scene, devices]) => ({ ...scene, devices })),
  steps: { map: 5, unmap: 3, domain: 5, pin: 1, unpin: 1 },
};
