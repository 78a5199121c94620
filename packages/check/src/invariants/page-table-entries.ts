/** What page-table entries may say: write access, and to whom anonymous pages belong. */
import { pagesOf, PMD_ORDER, type Pfn, type Vpn } from '@pinfold/base';
import { PG, PTE, VM, type MmStruct, type Vma } from '@pinfold/mm';
import type { FolioCounts } from './folio-counts.ts';
import type { Violations } from './violations.ts';

/**
 * Looks at every entry of a page table.
 *
 * @param mm the address space of the page table
 * @param counts how often pages are mapped
 * @param found called with each violation
 */
export function checkEntries(mm: MmStruct, counts: FolioCounts, found: Violations): void {
  for (const vma of mm.vmas) {
    mm.pageTable.forEachLeaf(vma.start, vma.end, (vpn, pfn, level, bits) => {
      const end = vpn + pagesOf(PMD_ORDER * level);
      if (vpn < vma.start || end > vma.end) {
        found.add('no entry reaches over the end of its VMA', `page ${vpn}, level ${level}`);
      }
      if ((bits & PTE.write) !== 0 && (vma.flags & VM.WRITE) === 0) {
        found.add('no entry is writable in a VMA that is not', `page ${vpn}`);
      }
      if (!(bits & PTE.special)) checkExclusive(mm, vma, vpn, pfn, bits, counts, found);
    });
  }
}

function checkExclusive(
  { memory: { memmap } }: MmStruct,
  { flags }: Vma,
  vpn: Vpn,
  pfn: Pfn,
  bits: number,
  counts: FolioCounts,
  found: Violations,
): void {
  const exclusive = (bits & PTE.anonExclusive) !== 0;
  if ((bits & PTE.write) !== 0 && (flags & VM.SHARED) === 0 && !exclusive) {
    found.add('a writable page of a private mapping is exclusive', `page ${vpn}, frame ${pfn}`);
  }
  if (!exclusive) return;
  const anon = (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) !== 0;
  const mappings = counts.mappingsOf(pfn);
  if (!anon) found.add('an exclusive page is anonymous', `page ${vpn}, frame ${pfn}`);
  else if (mappings !== 1) {
    found.add('an exclusive page is mapped once', `page ${vpn}, frame ${pfn}: ${mappings}`);
  }
}
