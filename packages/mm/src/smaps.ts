/**
 * What looking at a process does to it: reading `/proc/<pid>/smaps` or `smaps_rollup`.
 *
 * @source fs/proc/task_mmu.c smap_gather_stats, mm/pagewalk.c walk_pud_range, 6.12 to 7.2; recordings
 * p08-bar-1g of all kernels
 */
import type { MmStruct } from './mm-struct.ts';
import { VM } from './vma.ts';

/**
 * Walks every VMA as smaps does. The walk knows PTEs and PMDs only, so it has 1 GiB leaves split,
 * and of a pfn mapping that means cleared: the next access, or the next pin, faults them in again.
 * hugetlb is walked in its own way and keeps its leaves.
 *
 * @param mm address space
 * @source mm/pagewalk.c walk_pud_range, mm/huge_memory.c __split_huge_pud_locked, 6.12 to 7.2
 */
export function walkSmaps(mm: MmStruct): void {
  const { pageTable } = mm;
  for (const vma of mm.vmas) {
    if ((vma.flags & VM.PFNMAP) === 0) continue;
    pageTable.forEachLeaf(vma.start, vma.end, (vpn, _pfn, level) => {
      if (level === 2) pageTable.setEntry(vpn, 0, level, 0);
    });
  }
}
