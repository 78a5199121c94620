/**
 * Taking mappings away: munmap, MADV_DONTNEED, revoking a device's memory, the end of a process.
 *
 * Folios lose the references of their mappings; a pinned folio stays, mapped nowhere.
 *
 * @source mm/memory.c zap_page_range_single, unmap_page_range, free_pgtables, 6.16
 */
import { offsetIn, pagesOf, type Vpn } from '@pinfold/base';
import { splitHugePmd } from './anon.ts';
import type { VmOperations } from './fault.ts';
import { folioPutRefs } from './folio.ts';
import { unreserveRange } from './hugetlb-reserve.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';

/**
 * Unmaps the pages of a range. A large leaf that the range cuts is split first.
 *
 * @param mm address space
 * @param start first virtual page
 * @param end first virtual page after it
 * @source mm/memory.c unmap_page_range, 6.16
 */
export function zapRange(mm: MmStruct, start: Vpn, end: Vpn): void {
  splitAt(mm, start);
  splitAt(mm, end);
  const { pageTable, memory } = mm;
  pageTable.forEachLeaf(start, end, (vpn, pfn, level, bits) => {
    pageTable.setEntry(vpn, 0, level, 0);
    if ((bits & PTE.special) === 0) folioPutRefs(memory.memmap, pfn, 1);
  });
}

/**
 * Makes sure that no large leaf reaches over a page border: a leaf of anonymous memory is split, one
 * of device memory or of a file cleared.
 *
 * @param mm address space
 * @param vpn the first virtual page behind the border
 * @source mm/huge_memory.c split_huge_pmd_address, __split_huge_pud_locked, 6.16
 */
export function splitAt(mm: MmStruct, vpn: Vpn): void {
  const { pageTable } = mm;
  const { tableBits } = pageTable;
  while (pageTable.pfnAt(vpn) >= 0 && offsetIn(vpn, tableBits * pageTable.level) !== 0) {
    if (pageTable.level === 1) splitHugePmd(mm, vpn);
    else if (pageTable.dirs.bits[pageTable.index] & PTE.special) {
      pageTable.setEntry(vpn - offsetIn(vpn, 2 * tableBits), 0, 2, 0);
    } else pageTable.splitLeaf(vpn);
  }
}

/**
 * Frees the last-level page tables of a range in which no VMA is left.
 *
 * @param mm address space
 * @param start first virtual page
 * @param end first virtual page after it
 * @source mm/memory.c free_pgtables, 6.16
 */
export function freePgtables(mm: MmStruct, start: Vpn, end: Vpn): void {
  const { pageTable } = mm;
  const { pmdOrder } = pageTable.geometry;
  const pages = pagesOf(pmdOrder);
  const first = start - offsetIn(start, pmdOrder);
  for (
    let at = pageTable.nextPteTable(first, end);
    at < end;
    at = pageTable.nextPteTable(at + pages, end)
  ) {
    if (mm.vmas.overlapping(at, at + pages).length === 0) pageTable.freePteTable(at);
  }
}

/**
 * Removes the areas of a range, whose pages have gone, and tells who answered for them.
 *
 * @param mm address space
 * @param start first virtual page
 * @param end first virtual page after it
 * @source mm/vma.c remove_vma, vma_close, 6.16
 */
export function removeVmas(mm: MmStruct, start: Vpn, end: Vpn): void {
  const owners = new Set<VmOperations | null>();
  mm.vmas.replace(start, end, ({ ops }) => {
    owners.add(ops);
    return null;
  });
  for (const ops of owners) ops?.munmapped?.(mm);
}

/**
 * The end of an address space: every mapping goes, and every page table but the topmost, which those
 * who still know the address space share.
 *
 * @param mm address space
 * @source mm/mmap.c exit_mmap, 6.16
 */
export function exitMmap(mm: MmStruct): void {
  const { virtualPages } = mm.pageTable;
  unreserveRange(mm, 0, virtualPages);
  for (const vma of [...mm.vmas]) zapRange(mm, vma.start, vma.end);
  removeVmas(mm, 0, virtualPages);
  mm.pageTable.freeTables();
  mm.memory.addressSpaces.delete(mm);
  mm.mmUsers = 0;
}
