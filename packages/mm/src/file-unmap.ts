/**
 * Pages of a file that go from where they are mapped: a hole is punched, or a huge page takes their
 * place. Copies in private mappings stay.
 *
 * @source mm/memory.c unmap_mapping_range (even_cows = 0), mm/shmem.c shmem_fallocate, 6.16
 */
import type { Vpn } from '@pinfold/base';
import type { VmOperations } from './fault.ts';
import type { CachedFolio, FileFolios } from './file-folios.ts';
import { folioPutRefs } from './folio.ts';
import type { Memory } from './memory.ts';
import type { MmStruct } from './mm-struct.ts';
import { PG } from './page-state.ts';

/**
 * Unmaps pages of a file in every address space.
 *
 * @param memory the machine's memory
 * @param file the file
 * @param pgoff first page of the file
 * @param end first page after them
 * @source mm/memory.c unmap_mapping_range, 6.16
 */
export function unmapFileRange(
  memory: Memory,
  file: VmOperations,
  pgoff: number,
  end: number,
): void {
  for (const mm of memory.addressSpaces) {
    for (const vma of mm.vmas) {
      if (vma.ops !== file) continue;
      const start = Math.max(vma.start, vma.start + pgoff - vma.pgoff);
      const stop = Math.min(vma.end, vma.start + end - vma.pgoff);
      if (start < stop) unmapCached(mm, start, stop);
    }
  }
}

/**
 * Unmaps what a range of an address space maps of page caches.
 *
 * @param mm address space
 * @param start first virtual page
 * @param end first virtual page after it
 */
export function unmapCached(mm: MmStruct, start: Vpn, end: Vpn): void {
  const { memmap } = mm.memory;
  mm.pageTable.forEachLeaf(start, end, (vpn, pfn, level) => {
    if (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) return;
    mm.pageTable.setEntry(vpn, 0, level, 0);
    folioPutRefs(memmap, pfn, 1);
  });
}

/**
 * Takes the folios of a range out of the cache and out of every page table. A folio that the range cuts
 * stays: with zeros there, or on hugetlbfs as it is.
 *
 * @param memory the machine's memory
 * @param file the file
 * @param folios its folios in the cache
 * @param pgoff first page of the file
 * @param npage length in pages
 * @returns the folios that went
 * @source mm/shmem.c shmem_fallocate, fs/hugetlbfs/inode.c hugetlbfs_punch_hole, 6.16
 */
export function punchFileHole(
  memory: Memory,
  file: VmOperations,
  folios: FileFolios,
  pgoff: number,
  npage: number,
): CachedFolio[] {
  const end = pgoff + npage;
  const hugetlb = file.order > 0;
  const gone: CachedFolio[] = [];
  if (!hugetlb) unmapFileRange(memory, file, pgoff, end);
  for (const [pfn, folio] of folios.entries) {
    const from = Math.max(pgoff, folio.pgoff);
    const to = Math.min(end, folio.pgoff + folio.npage);
    if (from >= to) continue;
    if (to - from === folio.npage) {
      unmapFileRange(memory, file, from, to);
      folios.remove(pfn);
      folioPutRefs(memory.memmap, pfn, 1);
      gone.push(folio);
    } else if (!hugetlb) memory.contents?.drop(pfn + (from - folio.pgoff), to - from);
  }
  return gone;
}
