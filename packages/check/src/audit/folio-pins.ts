/** References and pins of folios, against what page tables, page caches, mappings and devices have. */
import { pagesOf, type Pfn } from '@pinfold/base';
import type { MachineView } from '@pinfold/guest';
import { PTE, type Memory } from '@pinfold/mm';
import { hexPages } from '@pinfold/scenario';
import type { VfioDma } from '@pinfold/vfio-type1';
import type { FolioTally } from './folio-tally.ts';
import type { SeenDma } from './seen-dma.ts';
import { violation, type CheckViolation, type Grade } from './violation.ts';

/**
 * Counts every folio's references and pins, and all pins.
 *
 * @param view the machine
 * @param dmas its mappings
 * @param seen how those that an IOMMU maps were made
 * @param tally counts
 * @returns the first folio that has other counts, or the sum of pins that is wrong; null if none is
 */
export function firstWrongPins(
  { memory, files }: MachineView,
  dmas: readonly VfioDma[],
  seen: ReadonlyMap<VfioDma, SeenDma>,
  tally: FolioTally,
): CheckViolation | null {
  count(memory, files, tally);
  for (const dma of dmas) {
    for (const { pfn, npage, ram } of seen.get(dma)?.runs ?? []) {
      if (ram) tally.addPins(pfn, npage);
    }
    if (dma.pfnList.size === 0) continue;
    for (const { pfn } of dma.pfnList) if (isPinnable(memory, pfn)) tally.addPins(pfn, 1);
  }
  const wrong = tally.firstWrong();
  if (wrong) {
    const owner = ownerOf(dmas, seen, wrong.pfn, wrong.order);
    const more = wrong.pins === 0 ? wrong.refs : wrong.pins;
    const invariant = wrong.pins === 0 ? 'folio' : 'pins';
    return violation(invariant, tally.describe(wrong, owner), null, gradeOf(more));
  }
  const left = memory.vmstat.pinsHeld - tally.pins;
  if (left === 0) return null;
  const what = left > 0 ? `${left} pins too many are held` : `${-left} pins too few are held`;
  return violation('pins', `${what}: no mapping and no device has them`, null, gradeOf(left));
}

/** Too many are never given back; too few, and the page goes while a device reaches it. */
function gradeOf(more: number): Grade {
  return more > 0 ? 'leak' : 'corruption';
}

/**
 * Whether pages are pinned and charged: reserved frames, a BAR's behind the end of memory for
 * example, are neither.
 *
 * @param memory the machine's memory
 * @param pfn frame of the page
 * @returns false for a reserved frame
 */
export function isPinnable({ memmap }: Memory, pfn: Pfn): boolean {
  return memmap.pfnValid(pfn) && !memmap.pageReserved(pfn);
}

/** Begins with what the process and its files have. */
function count({ addressSpaces }: Memory, files: MachineView['files'], tally: FolioTally): void {
  tally.begin();
  for (const mm of addressSpaces) {
    for (const { start, end } of mm.vmas) {
      mm.pageTable.forEachLeaf(start, end, (_vpn, pfn, _level, bits) => {
        if (!(bits & PTE.special)) tally.addMapping(pfn);
      });
    }
  }
  for (const file of files) for (const pfn of file.cachedFolios) tally.addMapping(pfn);
}

/** Whose pins a folio has, in words. */
function ownerOf(
  dmas: readonly VfioDma[],
  seen: ReadonlyMap<VfioDma, SeenDma>,
  pfn: Pfn,
  order: number,
): string {
  for (const dma of dmas) {
    const at = seen.get(dma)?.firstOf(pfn, pagesOf(order)) ?? -1;
    if (at >= 0) return `page ${at} of the mapping at iova ${hexPages(dma.iovaPn)}`;
    for (const node of dma.pfnList) {
      if (node.pfn >= pfn && node.pfn < pfn + pagesOf(order))
        return `a device’s page at iova ${hexPages(node.iovaPn)}`;
    }
  }
  return 'no mapping';
}
