/** What mappings and processes are charged, against what is pinned. */
import type { Memory } from '@pinfold/mm';
import { hexPages } from '@pinfold/scenario';
import type { VfioDma } from '@pinfold/vfio-type1';
import { lockedPages } from './locked-pages.ts';
import type { SeenDma } from './seen-dma.ts';
import { isPinnable } from './folio-pins.ts';
import type { PinQuirks } from './pin-quirks.ts';
import { violation, type CheckViolation } from './violation.ts';

/**
 * Looks for a charge that is wrong.
 *
 * @param memory the machine's memory
 * @param dmas its mappings
 * @param seen how those that an IOMMU maps were made
 * @param quirks why the recorded kernels charge otherwise
 * @returns the first one that they do not make; else the first one; null without any
 */
export function firstWrongCharge(
  memory: Memory,
  dmas: readonly VfioDma[],
  seen: ReadonlyMap<VfioDma, SeenDma>,
  quirks: PinQuirks,
): CheckViolation | null {
  let knownOnly: CheckViolation | null = null;
  for (const dma of dmas) {
    const expected = seen.get(dma)?.pinned ?? chargeOfNodes(memory, dma);
    const more = dma.lockedVm - expected;
    if (more === 0) continue;
    const known = quirks.knownCharge(dma, more);
    const what = `the mapping at iova ${hexPages(dma.iovaPn)} is charged ${tooMany(more)}`;
    if (known === null) return violation('charge', what);
    knownOnly ??= violation('charge', what, known);
  }
  for (const mm of memory.addressSpaces) {
    const more = mm.lockedVm - lockedPages(mm, dmas);
    if (more === 0) continue;
    const known = quirks.knownCharge(mm, more);
    const what = `the process is charged ${tooMany(more)}, which no mapping has`;
    if (known === null) return violation('charge', what);
    knownOnly ??= violation('charge', what, known);
  }
  return knownOnly;
}

/** Without an IOMMU, each node is charged a page, unless its page is reserved. */
function chargeOfNodes(memory: Memory, { pfnList }: VfioDma): number {
  let pages = 0;
  for (const { pfn } of pfnList) {
    if (isPinnable(memory, pfn)) pages++;
  }
  return pages;
}

function tooMany(more: number): string {
  return `${Math.abs(more)} ${Math.abs(more) === 1 ? 'page' : 'pages'} too ${more > 0 ? 'many' : 'few'}`;
}
