/**
 * MADV_COLLAPSE: the small pages of an aligned PMD range are copied into one THP.
 *
 * @source mm/khugepaged.c madvise_collapse, collapse_huge_page, 6.16
 */
import { Errno, offsetIn, pagesOf, Slot, type Vpn } from '@pinfold/base';
import { vmaAllocFolio } from './fault-folio.ts';
import { folioMaybeDmaPinned, folioPutRefs } from './folio.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Collapses every aligned PMD-sized block of a range of anonymous memory or of a memfd that is not a THP
 * yet, whatever the settings of THP; absent pages become zero pages of it.
 *
 * @param mm address space
 * @param vpn first virtual page
 * @param npage length in pages
 * @returns 0 if all blocks are THPs now; -EINVAL for memory that cannot be collapsed; -EAGAIN when
 *   a page is pinned; -ENOMEM without a free THP, or when nothing is mapped
 * @source mm/khugepaged.c madvise_collapse, 6.16
 */
export function adviseCollapse(mm: MmStruct, vpn: Vpn, npage: number): number {
  const end = vpn + npage;
  let mapped = 0;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    const [from, to] = [Math.max(vpn, vma.start), Math.min(end, vma.end)];
    const error = collapseIn(mm, vma, from, to);
    if (error !== 0) return error;
    mapped += to - from;
  }
  return mapped < npage ? -Errno.ENOMEM : 0;
}

/**
 * Collapses the blocks of a range of one VMA; the last failure counts, and memory ends it. A VMA in which
 * no huge page fits is refused even where the range holds no block.
 *
 * @source include/linux/huge_mm.h thp_vma_suitable_order, 6.16
 */
function collapseIn(mm: MmStruct, vma: Vma, from: Vpn, to: Vpn): number {
  const { pmdOrder } = mm.pageTable.geometry;
  const pages = pagesOf(pmdOrder);
  const holdsBlock = nextBlock(vma.start, pages) + pages <= vma.end;
  const aligned = offsetIn(vma.start, pmdOrder) === offsetIn(vma.pgoff, pmdOrder);
  const fits = holdsBlock && (vma.ops?.anonymous === true || aligned);
  const collapse = vma.ops?.anonymous ? collapseBlock : vma.ops?.collapse?.bind(vma.ops);
  if (collapse === undefined || vma.flags & VM.NOHUGEPAGE || !fits) return -Errno.EINVAL;
  let error = 0;
  for (let at = nextBlock(from, pages); at + pages <= to && error !== -Errno.ENOMEM; at += pages) {
    error = collapse(mm, vma, at) || error;
  }
  return error;
}

/** The first aligned block of some pages at or after a page. */
function nextBlock(vpn: Vpn, pages: number): Vpn {
  return Math.ceil(vpn / pages) * pages;
}

function collapseBlock(mm: MmStruct, vma: Vma, vpn: Vpn): number {
  const { pageTable, memory } = mm;
  const { memmap } = memory;
  const { pmdOrder } = pageTable.geometry;
  const pages = pagesOf(pmdOrder);
  if (pageTable.walk(vpn) && pageTable.level === 1) return 0;
  let copied = 0;
  let writable = false;
  let busy = false;
  pageTable.forEachLeaf(vpn, vpn + pages, (_vpn, pfn, _level, bits) => {
    if (bits & PTE.special) return;
    copied++;
    writable ||= (bits & PTE.write) !== 0;
    // References beyond those of mappings are pins.
    busy ||= folioMaybeDmaPinned(memmap, pfn);
  });
  if (busy) return -Errno.EAGAIN;
  if (copied === 0 || (memory.rules.collapseNeedsWritable && !writable)) return -Errno.EINVAL;
  const thp = vmaAllocFolio(mm, vpn, pmdOrder, PG.anon);
  if (thp < 0) return -Errno.ENOMEM;
  memory.counters.add(Slot.pagesCopied, copied);
  memory.counters.add(Slot.pagesZeroed, pages - copied);
  pageTable.forEachLeaf(vpn, vpn + pages, (at, pfn, level, bits) => {
    pageTable.setEntry(at, 0, level, 0);
    if (bits & PTE.special) return;
    memory.contents?.copy(pfn, thp + (at - vpn), 1);
    folioPutRefs(memmap, pfn, 1);
  });
  pageTable.freePteTable(vpn);
  const write = vma.flags & VM.WRITE ? PTE.write : 0;
  pageTable.setEntry(vpn, thp, 1, PTE.present | PTE.anonExclusive | write);
  return 0;
}
