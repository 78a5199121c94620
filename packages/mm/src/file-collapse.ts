/**
 * MADV_COLLAPSE of a memfd: one huge page takes the place of the small pages of a block, for everybody
 * who maps the file.
 *
 * @source mm/khugepaged.c collapse_file, collapse_pte_mapped_thp, 6.16; recordings mem06, hang07
 */
import { Errno, pagesOf, Slot, type Pfn, type Vpn } from '@pinfold/base';
import { vmaAllocFolio } from './fault-folio.ts';
import type { FileFolios } from './file-folios.ts';
import { unmapCached, unmapFileRange } from './file-unmap.ts';
import { folioMaybeDmaPinned, folioPutRefs, folioRefAdd } from './folio.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import type { Vma } from './vma.ts';

/**
 * Makes one huge page of an aligned block of a memfd, and maps it where the process has no copies of its
 * pages.
 *
 * @param mm address space
 * @param vma the mapping
 * @param vpn first virtual page of the block, which is aligned in the file, too
 * @param folios folios of the file in the cache
 * @param bits bits of the PMD entry
 * @returns 0; -EINVAL for a block of holes or one with copies; -EAGAIN when a page is pinned; -ENOMEM
 *   without a free huge page
 * @source mm/khugepaged.c collapse_file, collapse_pte_mapped_thp, 6.16
 */
export function collapseInFile(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  folios: FileFolios,
  bits: number,
): number {
  const { pageTable, memory } = mm;
  const { memmap } = memory;
  const pgoff = vma.pgoff + (vpn - vma.start);
  const end = vpn + pagesOf(memmap.geometry.pmdOrder);
  if (pageTable.walk(vpn) && pageTable.level === 1) return 0;
  const error = makeHuge(mm, vma, vpn, folios);
  if (error !== 0) return error;
  let copies = false;
  pageTable.forEachLeaf(vpn, end, (_vpn, pfn) => {
    copies ||= (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) !== 0;
  });
  const huge = folios.frameAt(pgoff);
  if (copies || huge === undefined) return -Errno.EINVAL;
  unmapCached(mm, vpn, end);
  pageTable.freePteTable(vpn);
  folioRefAdd(memmap, huge, 1);
  pageTable.setEntry(vpn, huge, 1, bits);
  return 0;
}

/** Puts a huge page with the same contents in the place of the small folios of a block. */
function makeHuge(mm: MmStruct, vma: Vma, vpn: Vpn, folios: FileFolios): number {
  const { memory } = mm;
  const { memmap } = memory;
  const { pmdOrder } = memmap.geometry;
  const npage = pagesOf(pmdOrder);
  const pgoff = vma.pgoff + (vpn - vma.start);
  const old: [number, Pfn][] = [];
  for (let at = pgoff; at < pgoff + npage; at++) {
    const pfn = folios.frameAt(at);
    if (pfn === undefined) continue;
    if (memmap.order[memmap.headEntryOf(pfn)] === pmdOrder) return 0;
    if (folioMaybeDmaPinned(memmap, pfn)) return -Errno.EAGAIN;
    old.push([at, pfn]);
  }
  if (old.length === 0) return -Errno.EINVAL;
  const huge = vmaAllocFolio(mm, vpn, pmdOrder, PG.swapbacked);
  if (huge < 0) return -Errno.ENOMEM;
  memory.counters.add(Slot.pagesCopied, old.length);
  memory.counters.add(Slot.pagesZeroed, npage - old.length);
  if (vma.ops) unmapFileRange(memory, vma.ops, pgoff, pgoff + npage);
  for (const [at, pfn] of old) {
    memory.contents?.copy(pfn, huge + (at - pgoff), 1);
    folios.remove(pfn);
    folioPutRefs(memmap, pfn, 1);
  }
  folios.add(huge, pgoff, npage);
  return 0;
}
