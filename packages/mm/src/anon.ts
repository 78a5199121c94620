/**
 * Faults of private anonymous memory: small folios, folios of several pages (mTHP), THP, the zero
 * pages, and copy on write.
 *
 * Left out: swap, and reserve or cgroup limits.
 *
 * @source mm/memory.c do_anonymous_page, mm/huge_memory.c do_huge_pmd_anonymous_page,
 * do_huge_pmd_wp_page, 6.16; reference mm.md §5.5 and §6
 */
import { offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { doWpPage } from './cow.ts';
import { FAULT_FLAG, VM_FAULT, type VmOperations } from './fault.ts';
import { allocZeroedFolio } from './fault-folio.ts';
import { folioPutRefs, folioRefAdd } from './folio.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { thpOrders } from './thp.ts';
import { VM, type Vma } from './vma.ts';

/** Answers the faults of private anonymous memory. */
export const anonymousMemory: VmOperations = {
  name: 'anonymous',
  anonymous: true,
  dirtyTracking: false,
  order: 0,

  fault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    const { pageTable } = mm;
    if (pageTable.none(vpn, 1) && hugeAnonymousPage(mm, vma, vpn, flags)) return 0;
    if (pageTable.walk(vpn) && pageTable.level === 1) {
      const done = hugeWpPage(mm, vma, vpn, flags);
      if (done) return 0;
    }
    if (pageTable.pfnAt(vpn) >= 0) return doWpPage(mm, vma, vpn, flags);
    if (flags & FAULT_FLAG.WRITE) return anonymousPage(mm, vma, vpn);
    pageTable.setEntry(vpn, mm.memory.zeroPfn, 0, PTE.present | PTE.special);
    return 0;
  },
};

function writeBit(vma: Vma): number {
  return vma.flags & VM.WRITE ? PTE.write : 0;
}

/** First page of the aligned block of an order around a page, or -1 if it leaves the VMA. */
function blockIn(vma: Vma, vpn: Vpn, order: number): Vpn {
  const first = vpn - offsetIn(vpn, order);
  return first >= vma.start && first + pagesOf(order) <= vma.end ? first : -1;
}

/** Maps a THP, or for a read the huge zero page; false if small folios must serve. */
function hugeAnonymousPage(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): boolean {
  const { memory, pageTable } = mm;
  const { pmdOrder } = pageTable.geometry;
  const first = blockIn(vma, vpn, pmdOrder);
  if (first < 0 || thpOrders(memory.thp, vma)[0] !== pmdOrder) return false;
  vma.anonVma = true;
  if ((flags & FAULT_FLAG.WRITE) === 0 && memory.thp.useZeroPage) {
    pageTable.setEntry(first, memory.hugeZeroPfn, 1, PTE.present | PTE.special);
    return true;
  }
  const pfn = allocZeroedFolio(mm, first, pmdOrder, PG.anon);
  if (pfn < 0) return false;
  const bits = PTE.present | PTE.anonExclusive | writeBit(vma);
  pageTable.setEntry(first, pfn, 1, bits);
  return true;
}

/** A fault on a PMD leaf; false if the leaf was split and the PTE decides. */
function hugeWpPage(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): boolean {
  const { pageTable, memory } = mm;
  const { index } = pageTable;
  const bits = pageTable.dirs.bits[index];
  const write = flags & FAULT_FLAG.WRITE ? writeBit(vma) : 0;
  if (flags === 0) return true;
  if (bits & PTE.special) return replaceHugeZero(mm, vpn, write);
  const head = memory.memmap.headEntryOf(pageTable.dirs.frame[index]);
  if (bits & PTE.anonExclusive || memory.memmap.refcount[head] === 1) {
    pageTable.dirs.bits[index] = bits | PTE.anonExclusive | write;
    pageTable.written.add(vpn, 1);
    return true;
  }
  splitHugePmd(mm, vpn);
  return false;
}

/** Gives the process a THP of its own for the huge zero page, or else small zero pages. */
function replaceHugeZero(mm: MmStruct, vpn: Vpn, write: number): boolean {
  const { pageTable, memory } = mm;
  const { pmdOrder } = pageTable.geometry;
  const first = vpn - offsetIn(vpn, pmdOrder);
  if (memory.rules.hugeZeroUnshare === 'thp') {
    const pfn = allocZeroedFolio(mm, first, pmdOrder, PG.anon);
    if (pfn >= 0) {
      pageTable.setEntry(first, pfn, 1, PTE.present | PTE.anonExclusive | write);
      return true;
    }
  }
  splitHugePmd(mm, vpn);
  return false;
}

/**
 * Maps the pages of a PMD leaf of anonymous memory one by one; the folio stays as it is. The huge
 * zero page becomes small zero pages. A leaf of anything else is cleared: its pages can be faulted in
 * again.
 *
 * @param mm address space
 * @param vpn virtual page under the leaf
 * @source mm/huge_memory.c __split_huge_pmd_locked, __split_huge_zero_page_pmd, 6.16
 */
export function splitHugePmd(mm: MmStruct, vpn: Vpn): void {
  const { pageTable, memory } = mm;
  pageTable.walk(vpn);
  const pfn = pageTable.dirs.frame[pageTable.index];
  const special = pageTable.dirs.bits[pageTable.index] & PTE.special;
  const { pmdOrder, tableEntries } = pageTable.geometry;
  const first = vpn - offsetIn(vpn, pmdOrder);
  const { memmap } = memory;
  const zero = special !== 0 && pfn === memory.hugeZeroPfn;
  if (!zero && (special !== 0 || (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) === 0)) {
    pageTable.setEntry(first, 0, 1, 0);
    if (!special) folioPutRefs(memmap, pfn, 1);
    return;
  }
  pageTable.splitLeaf(vpn);
  if (zero) {
    for (let i = 0; i < tableEntries; i++) {
      pageTable.setEntry(first + i, memory.zeroPfn, 0, PTE.present | PTE.special);
    }
  } else folioRefAdd(memmap, pfn, tableEntries - 1);
}

/** Maps a new folio of the largest allowed order that fits around the page. */
function anonymousPage(mm: MmStruct, vma: Vma, vpn: Vpn): number {
  vma.anonVma = true;
  for (const order of thpOrders(mm.memory.thp, vma)) {
    const first = order < mm.pageTable.geometry.pmdOrder ? blockIn(vma, vpn, order) : -1;
    if (first < 0 || !allAbsent(mm, first, pagesOf(order))) continue;
    const pfn = allocZeroedFolio(mm, first, order, PG.anon);
    if (pfn >= 0) return mapFolio(mm, vma, first, pfn, pagesOf(order));
  }
  const pfn = allocZeroedFolio(mm, vpn, 0, PG.anon);
  return pfn < 0 ? VM_FAULT.OOM : mapFolio(mm, vma, vpn, pfn, 1);
}

function mapFolio(mm: MmStruct, vma: Vma, vpn: Vpn, pfn: Pfn, npage: number): number {
  const bits = PTE.present | PTE.anonExclusive | writeBit(vma);
  mm.pageTable.setLeaves(vpn, pfn, npage, 0, bits);
  if (npage > 1) folioRefAdd(mm.memory.memmap, pfn, npage - 1);
  return 0;
}

function allAbsent(mm: MmStruct, vpn: Vpn, npage: number): boolean {
  for (let i = 0; i < npage; i++) if (mm.pageTable.pfnAt(vpn + i) >= 0) return false;
  return true;
}
