/** Process and device see the same pages. */
import { pagesOf, PMD_ORDER, type Pfn, type Vpn } from '@pinfold/base';
import { PG, PTE, type MemMap } from '@pinfold/mm';
import type { FirstSeen } from './first-seen.ts';
import type { Violations } from './violations.ts';

/**
 * A page that the process has mapped without a break since it was mapped for DMA is the one that
 * the device sees; an anonymous one belongs to the process alone.
 *
 * @param seen how the mapping was made; what the process has not any more is noted there
 * @param remapped whether the step may have put other pages where some were
 * @param found told of what does not hold
 */
export function checkOwner(seen: FirstSeen, remapped: boolean, found: Violations): void {
  const { mm, vaddr, npage, runs, attached } = seen;
  // Of a mapping that was not whole when it was first seen, that has been told.
  if (mm.mmUsers === 0 || !seen.iommuMapped || !seen.isWhole) return;
  const { memmap } = mm.memory;
  let next = 0;
  let run = 0;
  mm.pageTable.forEachLeaf(vaddr, vaddr + npage, (vpn, pfn, level, bits) => {
    const from = Math.max(0, vpn - vaddr);
    const to = Math.min(npage, vpn + pagesOf(PMD_ORDER * level) - vaddr);
    attached.fill(0, next, from);
    next = to;
    for (let off = from; off < to; off++) {
      while (off >= runs[run].at + runs[run].npage) run++;
      if (attached[off] === 0) continue;
      const { pfn: first, at: start, ram } = runs[run];
      const frame = pfn + (vaddr + off - vpn);
      if (frame !== first + (off - start)) {
        attached[off] = 0;
        const what = `page ${vaddr + off}: ${frame}, not ${first + (off - start)}`;
        if (!remapped && !seen.mayPart) found.add('process and device see the same page', what);
      } else if (ram) checkOwned(memmap, vaddr + off, frame, bits, found);
    }
  });
  attached.fill(0, next);
}

function checkOwned(memmap: MemMap, vpn: Vpn, pfn: Pfn, bits: number, found: Violations): void {
  if (bits & (PTE.special | PTE.anonExclusive)) return;
  if ((memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) === 0) return;
  found.add('a pinned anonymous page is exclusive', `page ${vpn}, frame ${pfn}`);
}
