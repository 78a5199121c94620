/**
 * What mprotect does to the entries of an area: write access goes at once, and comes back at once
 * where no fault has to see the first write.
 *
 * @source mm/mprotect.c change_protection, can_change_pte_writable, 6.16
 */
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Gives the entries of an area the access that it allows now. No large leaf reaches over its ends.
 *
 * @param mm address space
 * @param vma the area, with its new flags
 * @source mm/mprotect.c change_protection, mm/huge_memory.c change_huge_pmd, mm/hugetlb.c
 * hugetlb_change_protection, 6.16
 */
export function changeProtection(mm: MmStruct, vma: Vma): void {
  const { pageTable } = mm;
  pageTable.forEachLeaf(vma.start, vma.end, (vpn, pfn, level, bits) => {
    const write = canChangeWritable(vma, bits) ? PTE.write : 0;
    pageTable.setEntry(vpn, pfn, level, (bits & ~PTE.write) | write);
  });
}

/**
 * Whether an entry may be made writable without a fault. A private one must be of a page that
 * belongs to the process alone; hugetlb does not ask, and leaves it to the fault. A shared one may,
 * unless the file system waits for the first write, and that has not been.
 *
 * @source mm/mprotect.c can_change_private_pte_writable, can_change_shared_pte_writable,
 * mm/vma.c vma_wants_writenotify, 6.16
 */
function canChangeWritable(vma: Vma, bits: number): boolean {
  if ((vma.flags & VM.WRITE) === 0) return false;
  if (vma.flags & VM.SHARED) {
    return vma.ops?.dirtyTracking !== true || (bits & PTE.dirty) !== 0;
  }
  return (vma.flags & VM.HUGETLB) === 0 && (bits & PTE.anonExclusive) !== 0;
}
