/** Mappings at the ends of what the IOMMU translates: its aperture, and the window of interrupts. */
import type { BoundaryClass } from './boundary.ts';
import { plainMemory } from './plain-memory.ts';

/** Pages of the aperture of 48 bits, of 2^64 bytes, and the window of interrupts. */
const APERTURE = 2 ** 36;
const TOP = 2 ** 52;
const MSI = { first: 0xfee00, end: 0xfef00 };

/** The registry's entry. */
export const topOfIova: BoundaryClass = {
  name: 'top of the IOVA space',
  summary: 'mappings that end at the aperture, at 2^64, or beside the window of interrupts',
  scene: (slot) =>
    plainMemory(slot).map((scene) => ({
      ...scene,
      iovas: [APERTURE, APERTURE, TOP, MSI.first, MSI.end, 0],
    })),
  steps: { map: 8, unmap: 4, unmapAll: 2 },
};
