/** The module parameter dma_entry_limit: the next mapping is refused before anything is pinned. */
import * as fc from 'fast-check';
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** Read when a container gets its IOMMU. */
const DMA_ENTRY_LIMIT = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';

/** The registry's entry. */
export const entryLimit: BoundaryClass = {
  name: 'dma_entry_limit',
  summary: 'the module parameter dma_entry_limit of one to three mappings, side by side',
  scene: (slot) =>
    fc.tuple(plainMemory(slot), fc.constantFrom('1', '2', '3')).map(([scene, val]) => ({
      ...scene,
      first: [{ op: 'sysfs', path: DMA_ENTRY_LIMIT, val }],
    })),
  begins: ['map', 'mapNext'],
  steps: { map: 2, mapNext: 4, unmap: 3, unmapAll: 1, fail: 1 },
};
