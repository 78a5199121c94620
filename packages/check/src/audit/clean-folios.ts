/** What a device could write is dirty when it is unpinned. */
import { pagesOf } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { PG, type MemMap } from '@pinfold/mm';
import { hex, hexPages } from '@pinfold/scenario';
import type { VfioDma } from '@pinfold/vfio-type1';
import type { SeenDma } from './seen-dma.ts';
import { violation, type CheckViolation } from './violation.ts';

/**
 * Looks at a mapping that is gone: the device may have written what it could write, so that those
 * folios are dirty.
 *
 * @param memmap the machine's memory map
 * @param dma the mapping
 * @param seen how it was made
 * @returns the first folio that is clean; null without one
 */
export function firstCleanFolio(
  memmap: MemMap,
  { prot, iovaPn }: VfioDma,
  { runs }: SeenDma,
): CheckViolation | null {
  if (!(prot & IOMMU.WRITE)) return null;
  for (const { at, pfn, npage, ram } of runs) {
    for (let i = 0; ram && i < npage;) {
      const entry = memmap.headEntryOf(pfn + i);
      if (memmap.refcount[entry] !== 0 && !(memmap.flags[entry] & PG.dirty)) {
        const where = `page ${at + i} of the mapping at iova ${hexPages(iovaPn)}`;
        const what = `frame ${hex(pfn + i)} (${where}) is clean, though the device could write it`;
        return violation('dirty', what);
      }
      const pages = pagesOf(memmap.order[entry]);
      i += pages - ((pfn + i) % pages);
    }
  }
  return null;
}
