/**
 * Copy on write: a write, or a read-only longterm pin, that meets a page which the process does not
 * own alone.
 *
 * @source mm/memory.c do_wp_page, wp_page_copy, wp_can_reuse_anon_folio, 6.16; reference mm.md §5.5
 */
import { offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { FAULT_FLAG, VM_FAULT } from './fault.ts';
import { allocCopyOfFolio, allocZeroedFolio } from './fault-folio.ts';
import { folioPutRefs } from './folio.ts';
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
  const { level, index } = mm.pageTable;
  const arena = level === 0 ? mm.pageTable.ptes : mm.pageTable.dirs;
  const write = flags & FAULT_FLAG.WRITE ? PTE.write : 0;
  const bits = arena.bits[index];
  if (bits & PTE.anonExclusive || canReuse(mm, arena.frame[index], bits)) {
    arena.bits[index] = bits | PTE.anonExclusive | write;
    return 0;
  }
  return copyPage(mm, vma, vpn - offsetIn(vpn, 9 * level), level, bits & PTE.special, write);
}

/** An anonymous page whose only reference is this mapping becomes exclusive again. */
function canReuse(mm: MmStruct, pfn: Pfn, bits: number): boolean {
  if (bits & PTE.special) return false;
  const { memmap } = mm.memory;
  const head = memmap.headEntryOf(pfn);
  return (memmap.flags[head] & PG.anon) !== 0 && memmap.refcount[head] === 1;
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
  vma.anonVma = true;
  const flags = PG.anon | (vma.flags & VM.HUGETLB ? PG.hugetlb : 0);
  const copy = (zero ? allocZeroedFolio : allocCopyOfFolio)(mm, vpn, 9 * level, flags);
  if (copy < 0) return vma.flags & VM.HUGETLB ? VM_FAULT.SIGBUS : VM_FAULT.OOM;
  pageTable.walk(vpn);
  const old = (level === 0 ? pageTable.ptes : pageTable.dirs).frame[pageTable.index];
  pageTable.setEntry(vpn, copy, level, PTE.present | PTE.anonExclusive | write);
  if (zero) return 0;
  memory.contents?.copy(old, copy, pagesOf(9 * level));
  folioPutRefs(memory.memmap, old, 1);
  return 0;
}
