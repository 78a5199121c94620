/**
 * Get user pages, the slow path: what `pin_user_pages_remote` does for VFIO.
 *
 * One step per page-table leaf: a walk from the top, one page-table lock, one grab for the first
 * page and, on a large leaf, a second one for the rest, then one pointer store per page.
 *
 * An entry that is absent or does not allow the access is faulted in, and the step is made again.
 * Memory that nobody answers for (populated by {@link mmapMemory} alone) ends the call with EFAULT.
 *
 * @source mm/gup.c __get_user_pages, follow_page_mask, __gup_longterm_locked, 6.16; reference mm.md §5
 */
import { Errno, ModelBug, Slot, type PageNumbers, type Vpn } from '@pinfold/base';
import { FAULT_FLAG, faultErrno, handleMmFault, VM_FAULT } from './fault.ts';
import { FOLL } from './foll.ts';
import { followLeaf, GupWork } from './gup-follow.ts';
import { checkMigrateMovablePages } from './longterm.ts';
import { migrateForLongterm } from './migrate.ts';
import type { MmStruct } from './mm-struct.ts';
import { unpinUserPages } from './unpin.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Pins pages of another process's address space for DMA; the caller holds its mmap lock.
 *
 * @param mm address space
 * @param start first virtual page
 * @param npage pages wanted, at least 1
 * @param gupFlags {@link FOLL} flags
 * @param pages gets the `struct page` of every pinned page, from index 0; length at least npage
 * @param offset offset of the address in its page, in bytes, which only a tracer sees; default 0
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
  offset = 0,
): number {
  const { counters } = mm.memory;
  const { tracer } = counters;
  counters.add(Slot.gupCalls, 1);
  mm.hasPinned = true;
  if (tracer !== null) {
    const longterm = gupFlags & FOLL.LONGTERM ? mm.memory.rules.follLongterm : 0;
    const flags = (gupFlags & ~FOLL.LONGTERM) | longterm;
    tracer.enter('pin_user_pages_remote', start, offset, npage, flags);
  }
  const got = gupLongtermLocked(mm, start, npage, gupFlags, pages, offset);
  tracer?.exit('pin_user_pages_remote', got);
  return got;
}

/** Pins; for a longterm pin, with frames that are allocated for one (memalloc_pin_save). */
function gupLongtermLocked(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  pages: PageNumbers,
  offset = 0,
): number {
  const { tracer } = mm.memory.counters;
  tracer?.enter('__gup_longterm_locked', start, offset, npage);
  const got =
    gupFlags & FOLL.LONGTERM
      ? pinLongterm(mm, start, npage, gupFlags, pages)
      : getUserPages(mm, start, npage, gupFlags, pages);
  tracer?.exit('__gup_longterm_locked', got);
  return got;
}

function pinLongterm(
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
  mm.memory.counters.add(Slot.gupFastFallbacks, 1);
  return gupLongtermLocked(mm, start, npage, gupFlags, pages.subarray(at, at + npage));
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
    const got = followLeaf(mm, vma as Vma, vpn, npage - done, gupFlags, pages, done, work);
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
  counters.add(Slot.gupLargeSteps, work.large);
  counters.add(Slot.pageFills, work.fills);
  counters.add(Slot.folioGrabs, work.grabs);
  counters.add(Slot.grabAtomics, work.atomics);
  vmstat.nrFollPinAcquired += pinned - work.zeros;
}

/** writable_file_mapping_allowed: the file system could not know what a device writes. */
function writesBack({ memory }: MmStruct, vma: Vma, gupFlags: number): boolean {
  if (memory.rules.pinsWriteToFiles) return false;
  const longtermWrite = FOLL.WRITE | FOLL.LONGTERM;
  const sharedWrite = VM.SHARED | VM.WRITE;
  if ((gupFlags & longtermWrite) !== longtermWrite) return false;
  return (vma.flags & sharedWrite) === sharedWrite && vma.ops?.dirtyTracking === true;
}

/**
 * Whether a VMA may be pinned with this access; in the kernel's order.
 *
 * @param mm address space
 * @param vma the VMA that contains the page, or null
 * @param vpn virtual page
 * @param gupFlags {@link FOLL} flags
 * @returns 0, -EFAULT, or -EOPNOTSUPP for a longterm pin of a DAX file; with the reason in
 *   `mm.gupFailure`
 * @source mm/gup.c check_vma_flags, 6.16
 */
export function checkVmaFlags(mm: MmStruct, vma: Vma | null, vpn: Vpn, gupFlags: number): number {
  const isDevice = vma !== null && (vma.flags & (VM.IO | VM.PFNMAP)) !== 0;
  if (!isDevice && gupFlags & FOLL.LONGTERM && vma?.ops?.fsdax === true) {
    const why =
      'it is a file of a DAX file system (fsdax), of which no longterm pin is taken, to read or private neither; a device of persistent memory (devdax) can be pinned';
    mm.gupFailure = { vpn, why };
    return -Errno.EOPNOTSUPP;
  }
  const why =
    vma === null
      ? 'no VMA covers it'
      : vma.flags & (VM.IO | VM.PFNMAP)
        ? 'the VMA is VM_IO or VM_PFNMAP'
        : writesBack(mm, vma, gupFlags)
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
 * Makes the entry of a page one that GUP can follow.
 *
 * @param mm address space
 * @param vma the VMA that contains the page
 * @param vpn virtual page
 * @param gupFlags {@link FOLL} flags
 * @param again how often the page has been faulted in already, without being followed since
 * @returns 0 to try again, or -EFAULT, -ENOMEM
 * @source mm/gup.c faultin_page, 6.16
 */
export function faultinPage(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  gupFlags: number,
  again: number,
): number {
  if (vma.ops === null || vpn >= mm.pageTable.virtualPages) {
    mm.gupFailure = { vpn, why: 'no page is mapped there with this access' };
    return -Errno.EFAULT;
  }
  // Read, unshare and write: no page needs more.
  if (again > 3) throw new ModelBug(`virtual page ${vpn} (${vma.ops.name}) faults again and again`);
  const unshare = mm.pageTable.allows(vpn, false) ? FAULT_FLAG.UNSHARE : 0;
  const flags = gupFlags & FOLL.WRITE ? FAULT_FLAG.WRITE : unshare;
  const fails = mm.memory.injected?.fault() ?? false;
  const code = fails ? VM_FAULT.SIGBUS : handleMmFault(mm, vma, vpn, flags);
  if (code !== 0) mm.gupFailure = { vpn, why: `the fault ended with ${faultName(code)}` };
  return faultErrno(code);
}

function faultName(code: number): string {
  if (code === VM_FAULT.OOM) return 'VM_FAULT_OOM: no free frame';
  return code === VM_FAULT.SIGBUS
    ? 'VM_FAULT_SIGBUS: nothing is behind the page'
    : 'VM_FAULT_SIGSEGV: the VMA does not allow it';
}
