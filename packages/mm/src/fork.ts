/**
 * fork: a child gets a copy of the address space. Anonymous pages are shared until one of the two
 * writes; pages that may be pinned are copied for the child at once, so that the device goes on
 * with the parent's page.
 *
 * @source kernel/fork.c dup_mmap, mm/memory.c copy_page_range, copy_present_page,
 * mm/huge_memory.c copy_huge_pmd, mm/hugetlb.c copy_hugetlb_page_range, 6.16; reference mm.md §3, §5.5
 */
import { Errno, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { splitHugePmd } from './anon.ts';
import { allocCopyOfFolio } from './fault-folio.ts';
import { folioMaybeDmaPinned, folioRefAdd } from './folio.ts';
import { reservesHugePages } from './hugetlb-reserve.ts';
import { PG } from './page-state.ts';
import { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';
import { exitMmap } from './zap.ts';

/**
 * Copies an address space for a child. Areas that never had anonymous pages are not copied, shared
 * ones among them: the child faults them in. Locks and the charge of `locked_vm` are not inherited.
 *
 * @param parent the parent's address space; its anonymous pages are write-protected
 * @param child an empty address space on the same memory
 * @returns 0; -ENOMEM, with the child empty, when a pinned page could not be copied
 * @source kernel/fork.c dup_mmap, 6.16
 */
export function dupMmap(parent: MmStruct, child: MmStruct): number {
  for (const vma of parent.vmas) {
    if (vma.flags & VM.DONTCOPY) continue;
    // The child reserves no huge pages for what it may come to write.
    const flags = (vma.flags & ~VM.LOCKED) | (reservesHugePages(vma) ? VM.NORESERVE : 0);
    child.vmas.insert(vma.part(vma.start, vma.end, flags));
  }
  for (const vma of parent.vmas) {
    if (vma.flags & VM.DONTCOPY || !needsCopy(vma) || copyPageRange(parent, child, vma)) continue;
    exitMmap(child);
    return -Errno.ENOMEM;
  }
  return 0;
}

/**
 * Whether the child could not fault the entries of a VMA in by itself.
 *
 * @source mm/memory.c vma_needs_copy, 6.16
 */
function needsCopy(vma: Vma): boolean {
  return vma.anonVma || (vma.flags & VM.PFNMAP) !== 0;
}

/** Copies the entries of a VMA; false without memory for a copy. */
function copyPageRange(parent: MmStruct, child: MmStruct, vma: Vma): boolean {
  const { pageTable, memory } = parent;
  const isAnon = (pfn: Pfn): boolean =>
    (memory.memmap.flags[memory.memmap.headEntryOf(pfn)] & PG.anon) !== 0;
  const hugetlb = (vma.flags & VM.HUGETLB) !== 0;
  // A THP that may be pinned is copied page by page.
  pageTable.forEachLeaf(vma.start, vma.end, (vpn, pfn, level, bits) => {
    const thp = level === 1 && !hugetlb && (bits & PTE.special) === 0 && isAnon(pfn);
    if (thp && mayBePinned(parent, pfn)) splitHugePmd(parent, vpn);
  });
  let copied = true;
  pageTable.forEachLeaf(vma.start, vma.end, (vpn, pfn, level, bits) => {
    if (!copied) return;
    if (bits & PTE.special) {
      child.pageTable.setEntry(vpn, pfn, level, bits);
      return;
    }
    const anon = isAnon(pfn);
    // The child faults the huge pages of a file in by itself.
    if (!anon && level > 0 && !hugetlb) return;
    if (anon && bits & PTE.anonExclusive && mayBePinned(parent, pfn)) {
      copied = copyPinned(child, vma, vpn, pfn, level);
      return;
    }
    const sharedBits = bits & ~(PTE.write | PTE.anonExclusive);
    pageTable.setEntry(vpn, pfn, level, sharedBits);
    child.pageTable.setEntry(vpn, pfn, level, sharedBits);
    folioRefAdd(memory.memmap, pfn, 1);
  });
  return copied;
}

/** folio_needs_cow_for_dma: only a process that has pinned asks for the count. */
function mayBePinned(mm: MmStruct, pfn: Pfn): boolean {
  return mm.hasPinned && folioMaybeDmaPinned(mm.memory.memmap, pfn);
}

function copyPinned(child: MmStruct, vma: Vma, vpn: Vpn, pfn: Pfn, level: number): boolean {
  const { memmap } = child.memory;
  const flags = memmap.flags[memmap.headEntryOf(pfn)] & (PG.anon | PG.hugetlb);
  const order = level * child.pageTable.tableBits;
  const copy = allocCopyOfFolio(child, vpn, order, flags);
  if (copy < 0) return false;
  child.memory.contents?.copy(pfn, copy, pagesOf(order));
  const write = vma.flags & VM.WRITE ? PTE.write : 0;
  child.pageTable.setEntry(vpn, copy, level, PTE.present | PTE.anonExclusive | write);
  return true;
}
