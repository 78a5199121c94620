/** The module parameter disable_hugepages: chunks of one page, and 4 KiB IOPTEs only. */
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** The registry's entry. */
export const onePageChunks: BoundaryClass = {
  name: 'disable_hugepages',
  summary: 'the module parameter disable_hugepages on, off and changed while memory is mapped',
  scene: plainMemory,
  begins: ['onePage'],
  steps: { map: 6, unmap: 4, unmapAll: 1, onePage: 2 },
};
