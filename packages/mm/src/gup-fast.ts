/**
 * The fast path of GUP: the page table is walked without the mmap lock, and whatever is not plain
 * is left to the slow path. It serves a process's own memory only.
 *
 * @source mm/gup.c gup_fast_fallback, gup_fast_pte_range, gup_fast_pmd_leaf, 6.16; reference mm.md §5.4
 */
import { Errno, Slot, type Pfn, type Vpn, type PageNumbers } from '@pinfold/base';
import { consecutiveRun } from './contiguity.ts';
import { gupPutFolio, tryGrabFolio } from './folio.ts';
import { FOLL } from './foll.ts';
import { gupRemainder } from './gup.ts';
import { copyFrames, fillPages, followable, grabSmallFolios } from './gup-follow.ts';
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
 * @returns pages pinned, 1 to npage; or -EFAULT (also for a range that leaves the address space),
 *   -ENOMEM if none was
 * @source mm/gup.c pin_user_pages_fast, 6.16
 */
export function pinUserPagesFast(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { counters } = mm.memory;
  const { tracer } = counters;
  const traced = tracer?.details === true ? tracer : null;
  counters.add(Slot.gupFastCalls, 1);
  traced?.enter('pin_user_pages_fast', start, 0, npage, gupFlags);
  const got = pinFast(mm, start, npage, gupFlags, pages);
  traced?.exit('pin_user_pages_fast', got);
  return got;
}

/** gup_fast_fallback: the fast path, and the slow one for what it leaves over. */
function pinFast(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { counters, vmstat } = mm.memory;
  mm.hasPinned = true;
  if (start + npage > mm.pageTable.geometry.taskPages) return -Errno.EFAULT;
  const work = new FastWork();
  let vma: Vma | null = null;
  let done = 0;
  while (done < npage) {
    const vpn = start + done;
    if (vma === null || vpn >= vma.end) vma = mm.vmas.lookup(vpn);
    const got = vma === null ? 0 : pinLeaf(mm, vma, vpn, npage - done, gupFlags, pages, done, work);
    if (got === 0) break;
    done += got;
  }
  vmstat.nrFollPinAcquired += done + work.putAgain;
  vmstat.nrFollPinReleased += work.putAgain;
  counters.add(Slot.pageFills, done);
  counters.add(Slot.gupSteps, work.grabs);
  counters.add(Slot.folioGrabs, work.grabs);
  counters.add(Slot.folioGrabsFast, work.grabs);
  // One to take the reference, one for the pins: a small folio's bias, a large one's pincount.
  counters.add(Slot.grabAtomics, 2 * work.grabbed);
  counters.add(Slot.putCalls, work.puts);
  counters.add(Slot.putAtomics, 2 * work.puts);
  if (done === npage) return done;
  const rest = gupRemainder(mm, start + done, npage - done, gupFlags, pages, done);
  if (rest < 0) return done > 0 ? done : rest;
  return done + rest;
}

/** Counts of one call, added to the counters once at its end. */
class FastWork {
  /** Grabs of folios, those that were refused too. */
  grabs = 0;
  /** Those that were not. */
  grabbed = 0;
  /** Folios that were grabbed and put again. */
  puts = 0;
  /** Their pins, in pages. */
  putAgain = 0;
}

/** Flags of folios that no file system writes back. */
const PLAIN = PG.anon | PG.hugetlb | PG.swapbacked;

/** Pins up to the end of the leaf or the last-level table; 0 if the slow path must decide. */
function pinLeaf(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  want: number,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
  work: FastWork,
): number {
  const { pageTable } = mm;
  // What may not be accessed at all has entries that are not present to the hardware.
  if ((vma.flags & (VM.READ | VM.WRITE)) === 0) return 0;
  if (vpn >= pageTable.virtualPages || !pageTable.walk(vpn)) return 0;
  if (pageTable.level === 0) return pinPtes(mm, vma, vpn, want, gupFlags, pages, at, work);
  const { level, index, dirs } = pageTable;
  const bits = dirs.bits[index];
  if ((bits & (PTE.present | PTE.special)) !== PTE.present) return 0;
  if (gupFlags & FOLL.WRITE && !(bits & PTE.write)) return 0;
  const leafPages = 2 ** (pageTable.tableBits * level);
  const offset = vpn % leafPages;
  const pfn: Pfn = dirs.frame[index] + offset;
  const npage = Math.min(want, leafPages - offset);
  if (!grabFast(mm, pfn, npage, gupFlags, work)) return 0;
  if (!mayStay(mm, pfn, gupFlags) || mustUnshare(mm, bits, pfn, gupFlags)) {
    putFast(mm, pfn, npage, work);
    return 0;
  }
  fillPages(mm.memory.memmap, pfn, npage, pages, at);
  return npage;
}

/** Pins the pages of consecutive last-level entries, from the one that the walk found. */
function pinPtes(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  want: number,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
  work: FastWork,
): number {
  const { ptes, index } = mm.pageTable;
  const { memmap, counters } = mm.memory;
  const { tableMask } = mm.pageTable;
  const max = Math.min(want, tableMask + 1 - (index & tableMask), vma.end - vpn) | 0;
  const write = PTE.present | PTE.write;
  let run = followable(ptes, index, max, write);
  if (run === 0 && !(gupFlags & FOLL.WRITE)) {
    run = followable(ptes, index, max, PTE.present | PTE.anonExclusive);
    if (run === 0)
      return pinShared(mm, ptes.bits[index], ptes.frame[index], gupFlags, pages, at, work);
  }
  let done = 0;
  while (done < run) {
    const pfn = ptes.frame[index + done];
    const left = Math.min(run - done, memmap.sectionPages - (pfn & memmap.sectionMask)) | 0;
    const same = consecutiveRun(ptes.frame, index + done, index + done + left);
    const stay = stayRun(mm, pfn, same, gupFlags);
    const grabbed = stay === 0 ? 0 : grabSmallFolios(memmap, pfn, stay);
    if (grabbed === 0) {
      if (!grabFast(mm, pfn, 1, gupFlags, work)) break;
      if (stay === 0) {
        putFast(mm, pfn, 1, work);
        break;
      }
      pages[at + done] = memmap.pfnToPage(pfn);
      done++;
      continue;
    }
    const { tracer } = counters;
    if (tracer?.details) tracer.repeat('try_grab_folio_fast', grabbed, 1, 0, 0, 0);
    work.grabs += grabbed;
    work.grabbed += grabbed;
    const toPage = memmap.pfnToPage(pfn) - pfn;
    copyFrames(ptes.frame, index + done, grabbed, pages, at + done, toPage);
    done += grabbed;
  }
  return done;
}

/** A page that can be read, but is not this process's alone: a longterm pin puts it again. */
function pinShared(
  mm: MmStruct,
  bits: number,
  pfn: Pfn,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
  work: FastWork,
): number {
  if ((bits & (PTE.present | PTE.special)) !== PTE.present) return 0;
  if (!grabFast(mm, pfn, 1, gupFlags, work)) return 0;
  if (!mayStay(mm, pfn, gupFlags) || mustUnshare(mm, bits, pfn, gupFlags)) {
    putFast(mm, pfn, 1, work);
    return 0;
  }
  pages[at] = mm.memory.memmap.pfnToPage(pfn);
  return 1;
}

/** try_grab_folio_fast: a folio that may not stay where it is is let go inside. */
function grabFast(
  mm: MmStruct,
  pfn: Pfn,
  npage: number,
  gupFlags: number,
  work: FastWork,
): boolean {
  const { memmap, counters } = mm.memory;
  const { tracer } = counters;
  work.grabs++;
  if (tracer?.details) tracer.repeat('try_grab_folio_fast', 1, npage, 0, 0, 0);
  if ((gupFlags & FOLL.LONGTERM) !== 0 && !memmap.longtermPinnable(pfn)) return false;
  if (tryGrabFolio(memmap, pfn, npage) === 0) return false;
  work.grabbed++;
  return true;
}

function putFast(mm: MmStruct, pfn: Pfn, npage: number, work: FastWork): void {
  const { memmap, counters } = mm.memory;
  const { tracer } = counters;
  if (tracer?.details) tracer.repeat('gup_put_folio', 1, npage, 0, 0, 0);
  gupPutFolio(memmap, pfn, npage);
  work.puts++;
  work.putAgain += npage;
}

/**
 * Whether a page may not be pinned as it is. Nobody has looked up the VMA here: a page that is mapped
 * read-only and not anonymous is left to the slow path by every longterm pin.
 *
 * @source mm/gup.c gup_must_unshare without a VMA, 6.16
 */
function mustUnshare(mm: MmStruct, bits: number, pfn: Pfn, gupFlags: number): boolean {
  if (bits & PTE.write || gupFlags & FOLL.WRITE) return false;
  const { memmap } = mm.memory;
  const anon = (memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) !== 0;
  return anon ? (bits & PTE.anonExclusive) === 0 : (gupFlags & FOLL.LONGTERM) !== 0;
}

/** Whether a longterm pin for writing may take the folio: none that a file system writes back. */
function mayStay(mm: MmStruct, pfn: Pfn, gupFlags: number): boolean {
  const { memmap } = mm.memory;
  const longtermWrite = FOLL.LONGTERM | FOLL.WRITE;
  if ((gupFlags & longtermWrite) !== longtermWrite) return true;
  return (memmap.flags[memmap.headEntryOf(pfn)] & PLAIN) !== 0;
}

/** How many pages of consecutive frames of one section a pin may take, from the first on. */
function stayRun(mm: MmStruct, pfn: Pfn, npage: number, gupFlags: number): number {
  const { memmap } = mm.memory;
  const longtermWrite = FOLL.LONGTERM | FOLL.WRITE;
  if ((gupFlags & FOLL.LONGTERM) !== 0 && !memmap.longtermPinnable(pfn)) return 0;
  if ((gupFlags & longtermWrite) !== longtermWrite) return npage;
  if (memmap.strideOf(pfn) !== 0) return mayStay(mm, pfn, gupFlags) ? npage : 0;
  const { flags } = memmap;
  const first = memmap.entryOf(pfn);
  let run = 0;
  while (run < npage && (flags[first + run] & PLAIN) !== 0) run++;
  // Only the head of a large folio has its flags.
  return run === npage ? run : mayStay(mm, pfn + run, gupFlags) ? run + 1 : run;
}
