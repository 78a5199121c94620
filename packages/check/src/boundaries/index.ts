/** The registry of boundary classes: one line per class. */
import { barBesideRam } from './bar-beside-ram.ts';
import type { BoundaryClass } from './boundary.ts';
import { changingMemory } from './changing-memory.ts';
import { cowFolio } from './cow-folio.ts';
import { dirtyBitmaps } from './dirty-bitmaps.ts';
import { entryLimit } from './entry-limit.ts';
import { externalPins, pinsAcrossMappings, unalignedPins } from './external-pins.ts';
import { failingAllocations } from './failing-allocations.ts';
import { hugePageEnds } from './huge-page-ends.ts';
import { limits } from './limits.ts';
import { memmapHoles } from './memmap-holes.ts';
import { onePageChunks } from './one-page-chunks.ts';
import { sectionBorders } from './section-borders.ts';
import { severalDomains } from './several-domains.ts';
import { topOfIova } from './top-of-iova.ts';
import { twoVmas } from './two-vmas.ts';
import { zeroPages } from './zero-pages.ts';

/** All of them, in the order in which they are tried. */
export const boundaryClasses: readonly BoundaryClass[] = [
  hugePageEnds,
  twoVmas,
  cowFolio,
  sectionBorders,
  memmapHoles,
  barBesideRam,
  topOfIova,
  limits,
  externalPins,
  unalignedPins,
  failingAllocations,
  severalDomains,
  dirtyBitmaps,
  changingMemory,
  pinsAcrossMappings,
  onePageChunks,
  zeroPages,
  entryLimit,
];
