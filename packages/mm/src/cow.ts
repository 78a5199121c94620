/**
 * Copy on write: a write, or a read-only longterm pin, that meets a page which the process does not
 * own alone.
 *
 * @source mm/memory.c do_wp_page, wp_page_copy, wp_can_reuse_anon_folio, 6.16; reference mm.md §5.5
 */
import { offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { FAULT_FLAG, VM_FAULT } from './fault.ts';
import { allocCopyOfFolio, allocZeroedFolio } from './fault-folio.ts';
import { folioOrderOf, folioPutRefs } from './folio.ts';
import { reservesHugePages } from './hugetlb-reserve.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Handles a write or unshare fault on a present leaf of a private mapping: the page is reused if
 * nobody else has it, and replaced by a copy else (the zero page by a zeroed page).
 *
 * @param mm address space; its page table has just been walked to the leaf
 * @param vma the VMA
 * @param vpn virtual page
 * @param flags {@link FAULT_FLAG}; without WRITE and UNSHARE nothing is to be done
 * @returns 0; VM_FAULT.OOM, or SIGBUS of an empty hugetlb pool
 * @source mm/memory.c do_wp_page, 6.16; mm/hugetlb.c hugetlb_wp, 6.16
 */
export function doWpPage(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
  if (flags === 0) return 0;
  const { level, index, tableBits, ptes, dirs } = mm.pageTable;
  const arena = level === 0 ? ptes : dirs;
  const write = flags & FAULT_FLAG.WRITE ? PTE.write : 0;
  const bits = arena.bits[index];
  if (bits & PTE.anonExclusive || canReuse(mm, vpn, arena.frame[index], level, bits)) {
    arena.bits[index] = bits | PTE.anonExclusive | write;
    mm.pageTable.written.add(vpn, 1);
    return 0;
  }
  const first = vpn - offsetIn(vpn, tableBits * level);
  return copyPage(mm, vma, first, level, bits & PTE.special, write);
}

/**
 * Whether the page becomes the process's own again.
 *
 * @source mm/memory.c wp_can_reuse_anon_folio, 6.12 and 6.16; mm/hugetlb.c hugetlb_wp, 6.16
 */
function canReuse(mm: MmStruct, vpn: Vpn, pfn: Pfn, level: number, bits: number): boolean {
  if (bits & PTE.special) return false;
  const { memmap, rules } = mm.memory;
  const head = memmap.headEntryOf(pfn);
  if ((memmap.flags[head] & PG.anon) === 0) return false;
  const references = memmap.refcount[head];
  // A huge page of hugetlb is asked for its mappings only, not for pins.
  if (memmap.flags[head] & PG.hugetlb) return references - memmap.pincount[head] === 1;
  if (level > 0 || memmap.order[head] === 0) return references === 1;
  if (rules.largeAnonReuse === 'last-reference') return references === 1;
  if (rules.largeAnonReuse === 'never') return false;
  return references > 1 && memmap.pincount[head] === 0 && !mappedByOthers(mm, vpn, pfn, references);
}

/**
 * Whether an address space other than this one maps pages of a large folio: first it is looked for where
 * fork leaves it, then this one's own mappings are counted.
 *
 * @source mm/memory.c __wp_can_reuse_large_anon_folio, folio_maybe_mapped_shared, 6.16
 */
function mappedByOthers(mm: MmStruct, vpn: Vpn, pfn: Pfn, mapcount: number): boolean {
  const { memory } = mm;
  if (memory.addressSpaces.size === 1) return false;
  for (const other of memory.addressSpaces) {
    if (other !== mm && other.pageTable.pfnAt(vpn) === pfn) return true;
  }
  const npage = pagesOf(folioOrderOf(memory.memmap, pfn));
  const first = pfn - (pfn & (npage - 1));
  const around = vpn - (pfn - first);
  if (mappingsIn(mm, around, around + npage, first, npage) === mapcount) return false;
  let mappings = 0;
  for (const { start, end } of mm.vmas) mappings += mappingsIn(mm, start, end, first, npage);
  return mappings !== mapcount;
}

/** Entries of a range that map pages of a folio. */
function mappingsIn(mm: MmStruct, start: Vpn, end: Vpn, first: Pfn, npage: number): number {
  let mappings = 0;
  mm.pageTable.forEachLeaf(start, end, (_vpn, pfn, _level, bits) => {
    if ((bits & PTE.special) === 0 && pfn >= first && pfn < first + npage) mappings++;
  });
  return mappings;
}

function copyPage(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  level: number,
  zero: number,
  write: number,
): number {
  const { pageTable, memory } = mm;
  const order = pageTable.tableBits * level;
  vma.anonVma = true;
  const flags = PG.anon | (vma.flags & VM.HUGETLB ? PG.hugetlb : 0);
  const copy = (zero ? allocZeroedFolio : allocCopyOfFolio)(mm, vpn, order, flags);
  if (copy < 0 && reservesHugePages(vma) && unmapFromOthers(mm, vpn, level)) {
    pageTable.walk(vpn);
    pageTable.dirs.bits[pageTable.index] |= PTE.anonExclusive | write;
    pageTable.written.add(vpn, 1);
    return 0;
  }
  if (copy < 0) return vma.flags & VM.HUGETLB ? VM_FAULT.SIGBUS : VM_FAULT.OOM;
  pageTable.walk(vpn);
  const old = (level === 0 ? pageTable.ptes : pageTable.dirs).frame[pageTable.index];
  pageTable.setEntry(vpn, copy, level, PTE.present | PTE.anonExclusive | write);
  if (zero) return 0;
  memory.contents?.copy(old, copy, pagesOf(order));
  folioPutRefs(memory.memmap, old, 1);
  return 0;
}

/**
 * Takes a huge page away from the children that share it: the pool is dry, and the mapping that had
 * reserved the page keeps it. What a child has then lost it cannot fault in again.
 *
 * @returns whether the page is mapped by this process alone now
 * @source mm/hugetlb.c unmap_ref_private, 6.16
 */
function unmapFromOthers(mm: MmStruct, vpn: Vpn, level: number): boolean {
  const { memory, pageTable } = mm;
  const pfn = pageTable.pfnAt(vpn);
  for (const other of memory.addressSpaces) {
    if (other === mm || other.pageTable.pfnAt(vpn) !== pfn) continue;
    const vma = other.vmas.lookup(vpn);
    if (vma === null || reservesHugePages(vma)) continue;
    other.pageTable.setEntry(vpn, 0, level, 0);
    folioPutRefs(memory.memmap, pfn, 1);
  }
  const head = memory.memmap.headEntryOf(pfn);
  const anon = (memory.memmap.flags[head] & PG.anon) !== 0;
  return anon && memory.memmap.refcount[head] - memory.memmap.pincount[head] === 1;
}
