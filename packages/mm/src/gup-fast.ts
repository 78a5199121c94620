/**
 * The fast path of GUP: the page table is walked without the mmap lock, and whatever is not plain
 * is left to the slow path. It serves a process's own memory only.
 *
 * @source mm/gup.c gup_fast_fallback, gup_fast_pte_range, gup_fast_pmd_leaf, 6.16; reference mm.md §5.4
 */
import { Slot, type Pfn, type Vpn, type PageNumbers } from '@pinfold/base';
import { tryGrabFolio } from './folio.ts';
import { FOLL } from './foll.ts';
import { gupRemainder } from './gup.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Pins pages of the calling process, without a lock as far as that goes.
 *
 * @param mm address space of the caller
 * @param start first virtual page
 * @param npage pages wanted, at least 1
 * @param gupFlags {@link FOLL} flags
 * @param pages gets the `struct page` of every pinned page, from index 0; length at least npage
 * @returns pages pinned, 1 to npage; or -EFAULT, -ENOMEM if none was
 * @source mm/gup.c pin_user_pages_fast, 6.16
 */
export function pinUserPagesFast(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { counters, vmstat } = mm.memory;
  counters.add(Slot.gupFastCalls, 1);
  mm.hasPinned = true;
  let done = 0;
  while (done < npage) {
    const got = pinLeaf(mm, start + done, npage - done, gupFlags, pages, done);
    if (got === 0) break;
    done += got;
  }
  vmstat.nrFollPinAcquired += done;
  counters.add(Slot.pageFills, done);
  if (done === npage) return done;
  const rest = gupRemainder(mm, start + done, npage - done, gupFlags, pages, done);
  if (rest < 0) return done > 0 ? done : rest;
  return done + rest;
}

/** Pins up to the end of the leaf that maps a page; 0 if the slow path must decide. */
function pinLeaf(
  mm: MmStruct,
  vpn: Vpn,
  want: number,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
): number {
  const { pageTable, memory } = mm;
  const vma = mm.vmas.lookup(vpn);
  if (vma === null || vpn >= pageTable.virtualPages || !pageTable.walk(vpn)) return 0;
  const { level, index } = pageTable;
  const arena = level === 0 ? pageTable.ptes : pageTable.dirs;
  if (!mayFollow(mm, vma, arena.bits[index], arena.frame[index], gupFlags)) return 0;
  const leafPages = 2 ** (pageTable.tableBits * level);
  const offset = vpn % leafPages;
  const pfn: Pfn = arena.frame[index] + offset;
  if ((gupFlags & FOLL.LONGTERM) !== 0 && !mayStay(mm, pfn, gupFlags)) return 0;
  const npage = Math.min(want, leafPages - offset);
  const atomics = tryGrabFolio(memory.memmap, pfn, npage);
  if (atomics === 0) return 0;
  for (let i = 0; i < npage; i++) pages[at + i] = memory.memmap.pfnToPage(pfn + i);
  memory.counters.add(Slot.gupSteps, 1);
  memory.counters.add(Slot.folioGrabs, 1);
  // One to take the reference, one for the pins: a small folio's bias, a large one's pincount.
  memory.counters.add(Slot.grabAtomics, 2);
  return npage;
}

/**
 * Whether an entry may be followed as it is. Nobody has looked up the VMA here: a page that is mapped
 * read-only and not anonymous is left to the slow path by every longterm pin.
 *
 * @source mm/gup.c gup_fast_pte_range, gup_must_unshare without a VMA, 6.16
 */
function mayFollow(mm: MmStruct, vma: Vma, bits: number, pfn: Pfn, gupFlags: number): boolean {
  // What may not be accessed at all has entries that are not present to the hardware.
  if ((bits & (PTE.present | PTE.special)) !== PTE.present) return false;
  if ((vma.flags & (VM.READ | VM.WRITE)) === 0) return false;
  if (bits & PTE.write) return true;
  if (gupFlags & FOLL.WRITE) return false;
  if (bits & PTE.anonExclusive) return true;
  const { memmap } = mm.memory;
  const anon = (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) !== 0;
  return !anon && (gupFlags & FOLL.LONGTERM) === 0;
}

/** Whether a longterm pin may take the folio: not movable, and none that a file system writes back. */
function mayStay(mm: MmStruct, pfn: Pfn, gupFlags: number): boolean {
  const { memmap } = mm.memory;
  if (!memmap.longtermPinnable(pfn)) return false;
  const plain = PG.anon | PG.hugetlb | PG.swapbacked;
  return (gupFlags & FOLL.WRITE) === 0 || (memmap.flags[memmap.headEntryOf(pfn)] & plain) !== 0;
}
