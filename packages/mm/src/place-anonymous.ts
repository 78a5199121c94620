/** Anonymous memory at given frames: what a process has there after a history that nobody tells. */
import { isAligned, offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { folioRefAdd } from './folio.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Maps pages of a folio, or of several that follow each other, at virtual pages that are absent. A
 * folio of which only a part is mapped is one that was sliced by munmap, or of which the process
 * has copied the rest.
 *
 * @param mm address space
 * @param vma area that holds the virtual pages; private and anonymous
 * @param vpn first virtual page
 * @param pfn first frame, which may lie inside its folio
 * @param npage pages
 * @param order order of the folios
 * @throws {InputError} when a folio's frames are no free memory, unless this area has it mapped
 * @source the state that mm/memory.c do_anonymous_page and mm/huge_memory.c leave, 6.16
 */
export function placeAnonymous(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  pfn: Pfn,
  npage: number,
  order: number,
): void {
  vma.anonVma = true;
  for (let done = 0; done < npage;) {
    const at = pfn + done;
    const n = Math.min(npage - done, pagesOf(order) - offsetIn(at, order));
    placePart(mm, vma, vpn + done, at, n, order);
    done += n;
  }
}

/** Maps pages of one folio. */
function placePart(mm: MmStruct, vma: Vma, vpn: Vpn, pfn: Pfn, npage: number, order: number): void {
  const { memmap } = mm.memory;
  const write = vma.flags & VM.WRITE ? PTE.write : 0;
  const bits = PTE.present | PTE.anonExclusive | write;
  const huge =
    order === memmap.geometry.pmdOrder &&
    npage === pagesOf(order) &&
    isAligned(vpn, order) &&
    isAligned(pfn, order);
  const leaves = huge ? 1 : npage;
  const entry = memmap.headEntryOf(pfn);
  const known = memmap.order[entry] === order && memmap.refcount[entry] > 0 && order > 0;
  if (!known || (memmap.flags[entry] & PG.anon) === 0) {
    memmap.allocFolio(pfn - offsetIn(pfn, order), order, PG.anon);
    folioRefAdd(memmap, pfn, leaves - 1);
  } else folioRefAdd(memmap, pfn, leaves);
  if (huge) mm.pageTable.setEntry(vpn, pfn, 1, bits);
  else mm.pageTable.setLeaves(vpn, pfn, npage, 0, bits);
}
