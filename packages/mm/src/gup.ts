/**
 * Get user pages, the slow path: what `pin_user_pages_remote` does for VFIO.
 *
 * One step per page-table leaf: a walk from the top, one page-table lock, one grab for the first
 * page and, on a large leaf, a second one for the rest, then one pointer store per 4 KiB page. The
 * model does the entries of one last-level table in one inner loop; each of them is one step.
 *
 * An entry that is absent or does not allow the access is faulted in, and the step is made again.
 * Memory that nobody answers for (populated by {@link mmapMemory} alone) ends the call with EFAULT.
 *
 * @source mm/gup.c __get_user_pages, follow_page_mask, __gup_longterm_locked, 6.16; reference mm.md §5
 */
import {
  Errno,
  maskedRun,
  ModelBug,
  Slot,
  type Pfn,
  type TableArena,
  type Vpn,
  type PageNumbers,
} from '@pinfold/base';
import { consecutiveRun } from './contiguity.ts';
import { FAULT_FLAG, faultErrno, handleMmFault, VM_FAULT } from './fault.ts';
import { addToSmallFolios, GUP_PIN_COUNTING_BIAS, tryGrabFolio } from './folio.ts';
import { checkMigrateMovablePages } from './longterm.ts';
import { PAGES_PER_SECTION, type MemMap } from './memmap.ts';
import { migrateForLongterm } from './migrate.ts';
import type { MmStruct } from './mm-struct.ts';
import { MAX_VPN, PTE } from './page-table.ts';
import { unpinUserPages } from './unpin.ts';
import { VM, type Vma } from './vma.ts';

/** GUP flags, with the kernel's values. */
export const FOLL = {
  /** The pages will be written to. */
  WRITE: 0x1,
  /** The pin is held for long: pages must not lie in movable memory. */
  LONGTERM: 0x100,
} as const;

/** Counts of one GUP call, added to the counters once at its end. */
class GupWork {
  steps = 0;
  fills = 0;
  grabs = 0;
  atomics = 0;
}

/**
 * Pins pages of another process's address space for DMA; the caller holds its mmap lock.
 *
 * @param mm address space
 * @param start first virtual page
 * @param npage pages wanted, at least 1
 * @param gupFlags {@link FOLL} flags
 * @param pages gets the `struct page` of every pinned page, from index 0; length at least npage
 * @returns pages pinned, 1 to npage (fewer when a later page could not be had), or -EFAULT (not
 *   mapped, or not with this access), -ENOMEM (a movable page that could not be migrated, or a
 *   reference count that would overflow)
 * @source mm/gup.c pin_user_pages_remote with locked = NULL, 6.16
 */
export function pinUserPagesRemote(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { counters } = mm.memory;
  const { tracer } = counters;
  counters.add(Slot.gupCalls, 1);
  mm.hasPinned = true;
  tracer?.enter('pin_user_pages_remote', start, npage, gupFlags);
  tracer?.enter('__gup_longterm_locked', start, npage);
  const got =
    gupFlags & FOLL.LONGTERM
      ? gupLongtermLocked(mm, start, npage, gupFlags, pages)
      : getUserPages(mm, start, npage, gupFlags, pages);
  tracer?.exit('__gup_longterm_locked', got);
  tracer?.exit('pin_user_pages_remote', got);
  return got;
}

/**
 * Pins with frames allocated for a longterm pin (memalloc_pin_save).
 */
function gupLongtermLocked(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  mm.memory.memallocPin = true;
  try {
    return pinUnmovable(mm, start, npage, gupFlags, pages);
  } finally {
    mm.memory.memallocPin = false;
  }
}

/**
 * The slow path for what the fast one has left over.
 *
 * @param mm address space
 * @param start first virtual page that is left
 * @param npage pages that are left
 * @param gupFlags {@link FOLL} flags
 * @param pages gets the pages
 * @param at index of the first of them
 * @returns pages pinned, or a negative errno
 * @source mm/gup.c gup_fast_fallback, 6.16
 */
export function gupRemainder(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
): number {
  const rest = pages.subarray(at, at + npage);
  return gupFlags & FOLL.LONGTERM
    ? gupLongtermLocked(mm, start, npage, gupFlags, rest)
    : getUserPages(mm, start, npage, gupFlags, rest);
}

/**
 * Pins until no page lies in movable memory: what does is migrated, with nothing pinned meanwhile,
 * and everything is pinned again.
 */
function pinUnmovable(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { memory } = mm;
  for (;;) {
    const got = getUserPages(mm, start, npage, gupFlags, pages);
    const unpinnable = got > 0 ? checkMigrateMovablePages(memory, pages, got) : -1;
    if (unpinnable < 0) return got;
    unpinUserPages(memory, pages, got);
    const vpn = migrateMovablePages(mm, start, unpinnable, got);
    if (vpn < 0) continue;
    mm.gupFailure = { vpn, why: 'the page is in movable memory and could not be migrated' };
    return -Errno.ENOMEM;
  }
}

/** Migrates the pages that may not stay; returns the virtual page that could not be, or -1. */
function migrateMovablePages(mm: MmStruct, start: Vpn, from: number, npage: number): Vpn {
  const { memmap } = mm.memory;
  for (let i = from; i < npage; i++) {
    const pfn = mm.pageTable.pfnAt(start + i);
    if (pfn >= 0 && memmap.longtermPinnable(pfn)) continue;
    if (migrateForLongterm(mm, start + i) < 0) return start + i;
  }
  return -1;
}

/** The loop over page-table leaves (__get_user_pages). */
function getUserPages(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
): number {
  const { pageTable } = mm;
  const work = new GupWork();
  let vma: Vma | null = null;
  let done = 0;
  let error = 0;
  let faults = 0;
  while (done < npage) {
    const vpn = start + done;
    if (!vma || vpn >= vma.end) {
      vma = mm.vmas.lookup(vpn);
      error = checkVmaFlags(mm, vma, vpn, gupFlags);
      if (error) break;
    }
    const want = npage - done;
    let got = 0;
    if (vpn < MAX_VPN && pageTable.walk(vpn)) {
      if (pageTable.level === 0) {
        const max = Math.min(want, 512 - (pageTable.index & 511), (vma as Vma).end - vpn) | 0;
        got = followPtes(mm, max, needBits(vma as Vma, gupFlags), pages, done, work);
      } else {
        got = followLargeLeaf(mm, vpn, want, needBits(vma as Vma, gupFlags), pages, done, work);
      }
    }
    if (got < 0) {
      mm.gupFailure = { vpn, why: 'the reference count of the folio would overflow' };
      error = got;
      break;
    }
    done += got;
    if (got === 0) {
      work.steps += vma?.ops ? 1 : 0;
      error = faultinPage(mm, vma as Vma, vpn, gupFlags, faults++);
      if (error) break;
    } else faults = 0;
  }
  countGup(mm, work, done);
  return done > 0 ? done : error;
}

function countGup(mm: MmStruct, work: GupWork, pinned: number): void {
  const { counters, vmstat } = mm.memory;
  counters.add(Slot.gupSteps, work.steps);
  counters.add(Slot.pageFills, work.fills);
  counters.add(Slot.folioGrabs, work.grabs);
  counters.add(Slot.grabAtomics, work.atomics);
  vmstat.nrFollPinAcquired += pinned;
}

/** writable_file_mapping_allowed: the file system could not know what a device writes. */
function writesBack(vma: Vma, gupFlags: number): boolean {
  const longtermWrite = FOLL.WRITE | FOLL.LONGTERM;
  const sharedWrite = VM.SHARED | VM.WRITE;
  if ((gupFlags & longtermWrite) !== longtermWrite) return false;
  return (vma.flags & sharedWrite) === sharedWrite && vma.ops?.dirtyTracking === true;
}

/** check_vma_flags, in its order. */
function checkVmaFlags(mm: MmStruct, vma: Vma | null, vpn: Vpn, gupFlags: number): number {
  const why =
    vma === null
      ? 'no VMA covers it'
      : vma.flags & (VM.IO | VM.PFNMAP)
        ? 'the VMA is VM_IO or VM_PFNMAP'
        : writesBack(vma, gupFlags)
          ? 'a longterm pin for writing of a shared file mapping that the file system writes back'
          : gupFlags & FOLL.WRITE && !(vma.flags & VM.WRITE)
            ? 'the VMA is not writable'
            : !(gupFlags & FOLL.WRITE) && !(vma.flags & VM.READ)
              ? 'the VMA is not readable'
              : null;
  if (why === null) return 0;
  mm.gupFailure = { vpn, why };
  return -Errno.EFAULT;
}

/**
 * Pins the pages of consecutive last-level entries, from the one that the walk found.
 *
 * @returns pages pinned, fewer than `max` at an entry that must be faulted in; a negative errno if
 *   the first could not be grabbed
 */
function followPtes(
  mm: MmStruct,
  max: number,
  need: number,
  pages: PageNumbers,
  at: number,
  work: GupWork,
): number {
  const { ptes, index } = mm.pageTable;
  const { memmap } = mm.memory;
  const present = followable(ptes, index, max, need);
  let done = 0;
  while (done < present) {
    const pfn = ptes.frame[index + done];
    const left = Math.min(present - done, PAGES_PER_SECTION - (pfn & (PAGES_PER_SECTION - 1))) | 0;
    const run = consecutiveRun(ptes.frame, index + done, index + done + left);
    const toPage = memmap.pfnToPage(pfn) - pfn;
    copyFrames(ptes.frame, index + done, run, pages, at + done, toPage);
    const grabbed = grabRun(memmap, pfn, run, work);
    done += grabbed;
    if (grabbed < run) break;
  }
  work.steps += done;
  work.fills += done;
  work.grabs += done;
  if (done === 0 && present > 0) return -Errno.ENOMEM;
  return done;
}

/** How many entries, from one on, GUP may follow with this access. */
function followable({ bits, words }: TableArena, index: number, max: number, need: number): number {
  return maskedRun(bits, words, index, index + max, need | PTE.special, need);
}

/** Stores the pointers of frames of one section; where they are the frames, a long run is one copy. */
function copyFrames(
  frame: PageNumbers,
  index: number,
  npage: number,
  pages: PageNumbers,
  at: number,
  toPage: number,
): void {
  if (toPage === 0 && npage > 64) {
    pages.set(frame.subarray(index, index + npage), at);
    return;
  }
  for (let i = 0; i < npage; i++) pages[at + i] = frame[index + i] + toPage;
}

/** Grabs the folios of consecutive frames of one section, page by page; ends at a refused grab. */
function grabRun(memmap: MemMap, pfn: Pfn, npage: number, work: GupWork): number {
  let done = 0;
  while (done < npage) {
    const small = grabSmallFolios(memmap, pfn + done, npage - done);
    work.atomics += small;
    done += small;
    if (small > 0) continue;
    const atomics = tryGrabFolio(memmap, pfn + done, 1);
    if (atomics === 0) break;
    work.atomics += atomics;
    done++;
  }
  return done;
}

/** Grabs order-0 folios of consecutive frames; ends at a large folio or at a refused grab. */
function grabSmallFolios(memmap: MemMap, pfn: Pfn, npage: number): number {
  // Small folios exist only where every page has a state entry of its own.
  const first = memmap.entryOf(pfn);
  if (memmap.strideOf(pfn) !== 0) return 0;
  return addToSmallFolios(memmap, first, npage, GUP_PIN_COUNTING_BIAS);
}

/**
 * Bits that an entry must have. A read-only longterm pin of a private mapping takes only pages that
 * belong to the process alone; it has the others unshared first (gup_must_unshare).
 */
export function needBits(vma: Vma, gupFlags: number): number {
  if (gupFlags & FOLL.WRITE) return PTE.present | PTE.write;
  const cow = (vma.flags & (VM.SHARED | VM.MAYWRITE)) === VM.MAYWRITE;
  return cow ? PTE.present | PTE.anonExclusive : PTE.present;
}

/**
 * Makes the entry of a page one that GUP can follow.
 *
 * @param again how often the page has been faulted in already, without being followed since
 * @returns 0 to try again, or -EFAULT, -ENOMEM
 */
function faultinPage(mm: MmStruct, vma: Vma, vpn: Vpn, gupFlags: number, again: number): number {
  if (vma.ops === null || vpn >= MAX_VPN) {
    mm.gupFailure = { vpn, why: 'no page is mapped there with this access' };
    return -Errno.EFAULT;
  }
  // Read, unshare and write: no page needs more.
  if (again > 3) throw new ModelBug(`virtual page ${vpn} (${vma.ops.name}) faults again and again`);
  const unshare = mm.pageTable.allows(vpn, false) ? FAULT_FLAG.UNSHARE : 0;
  const flags = gupFlags & FOLL.WRITE ? FAULT_FLAG.WRITE : unshare;
  const code = handleMmFault(mm, vma, vpn, flags);
  if (code !== 0) mm.gupFailure = { vpn, why: `the fault ended with ${faultName(code)}` };
  return faultErrno(code);
}

function faultName(code: number): string {
  if (code === VM_FAULT.OOM) return 'VM_FAULT_OOM: no free frame';
  return code === VM_FAULT.SIGBUS
    ? 'VM_FAULT_SIGBUS: nothing is behind the page'
    : 'VM_FAULT_SIGSEGV: the VMA does not allow it';
}

/**
 * Pins up to the end of the 2 MiB or 1 GiB leaf that the walk found.
 *
 * @returns pages pinned; 0 if the entry must be faulted in; a negative errno if not to be grabbed
 */
function followLargeLeaf(
  mm: MmStruct,
  vpn: Vpn,
  want: number,
  need: number,
  pages: PageNumbers,
  at: number,
  work: GupWork,
): number {
  const { dirs, index, level } = mm.pageTable;
  if ((dirs.bits[index] & (need | PTE.special)) !== need) return 0;
  const leafPages = level === 1 ? 2 ** 9 : 2 ** 18;
  const offset = vpn & (leafPages - 1);
  const npage = Math.min(want, leafPages - offset) | 0;
  const pfn: Pfn = dirs.frame[index] + offset;
  work.steps++;
  if (!grab(mm, pfn, 1, work)) return -Errno.ENOMEM;
  if (npage > 1) grab(mm, pfn, npage - 1, work);
  fillPages(mm.memory.memmap, pfn, npage, pages, at);
  work.fills += npage;
  return npage;
}

function grab(mm: MmStruct, pfn: Pfn, refs: number, work: GupWork): boolean {
  const atomics = tryGrabFolio(mm.memory.memmap, pfn, refs);
  work.grabs++;
  work.atomics += atomics;
  return atomics > 0;
}

/** Stores the pointers of consecutive frames; only a section border may break their sequence. */
function fillPages(memmap: MemMap, pfn: Pfn, npage: number, pages: PageNumbers, at: number): void {
  for (let done = 0; done < npage;) {
    const first = memmap.pfnToPage(pfn + done);
    const n =
      Math.min(npage - done, PAGES_PER_SECTION - ((pfn + done) & (PAGES_PER_SECTION - 1))) | 0;
    storeSequence(pages, (at + done) | 0, (at + done + n) | 0, first);
    done += n;
  }
}

/** Stores consecutive numbers; four a step, so that the sum is not what the loop waits for. */
function storeSequence(pages: PageNumbers, from: number, end: number, first: number): void {
  let page = first;
  let i = from;
  for (; i < end - 3; i += 4) {
    pages[i] = page;
    pages[i + 1] = page + 1;
    pages[i + 2] = page + 2;
    pages[i + 3] = page + 3;
    page += 4;
  }
  for (; i < end; i++) pages[i] = page++;
}
