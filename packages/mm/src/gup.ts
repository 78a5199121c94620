/**
 * Get user pages, the slow path: what `pin_user_pages_remote` does for VFIO.
 *
 * One step per page-table leaf: a walk from the top, one page-table lock, one grab for the first
 * page and, on a large leaf, a second one for the rest, then one pointer store per 4 KiB page. The
 * model does the entries of one last-level table in one inner loop; each of them is one step.
 *
 * Left out: faults. A page that is not there ends the call with EFAULT, as it does in the kernel
 * when the fault cannot be served.
 *
 * @source mm/gup.c __get_user_pages, follow_page_mask, __gup_longterm_locked, 6.16; reference mm.md §5
 */
import { Errno, Slot, type Pfn, type Vpn } from '@pinfold/base';
import { GUP_PIN_COUNTING_BIAS, tryGrabFolio } from './folio.ts';
import { checkMigrateMovablePages } from './longterm.ts';
import { PAGES_PER_SECTION } from './memmap.ts';
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
  pages: Float64Array,
): number {
  mm.memory.counters.add(Slot.gupCalls, 1);
  mm.hasPinned = true;
  const got = getUserPages(mm, start, npage, gupFlags, pages);
  if (got <= 0 || (gupFlags & FOLL.LONGTERM) === 0) return got;
  const unpinnable = checkMigrateMovablePages(mm.memory, pages, got);
  if (unpinnable < 0) return got;
  unpinUserPages(mm.memory, pages, got);
  mm.gupFailure = { vpn: start + unpinnable, why: 'the page is in ZONE_MOVABLE and was not migrated' };
  return -Errno.ENOMEM;
}

/** The loop over page-table leaves (__get_user_pages). */
function getUserPages(mm: MmStruct, start: Vpn, npage: number, gupFlags: number, pages: Float64Array): number {
  const { pageTable } = mm;
  const work = new GupWork();
  let vma: Vma | null = null;
  let done = 0;
  let error = 0;
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
        got = followPtes(mm, max, gupFlags, pages, done, work);
      } else got = followLargeLeaf(mm, vpn, want, gupFlags, pages, done, work);
    }
    if (got < 0) {
      mm.gupFailure = { vpn, why: 'the reference count of the folio would overflow' };
      error = got;
      break;
    }
    done += got;
    if (got === 0) {
      mm.gupFailure = { vpn: start + done, why: 'no page is mapped there with this access' };
      error = -Errno.EFAULT;
      break;
    }
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

/** check_vma_flags, in its order. */
function checkVmaFlags(mm: MmStruct, vma: Vma | null, vpn: Vpn, gupFlags: number): number {
  const why =
    vma === null
      ? 'no VMA covers it'
      : vma.flags & (VM.IO | VM.PFNMAP)
        ? 'the VMA is VM_IO or VM_PFNMAP'
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
  gupFlags: number,
  pages: Float64Array,
  at: number,
  work: GupWork,
): number {
  const { ptes, index } = mm.pageTable;
  const { memmap } = mm.memory;
  const { frame, bits } = ptes;
  const { order, refcount, pincount, sectionBase, sectionStride } = memmap;
  // A read-only longterm pin takes exclusive anonymous pages only (gup_must_unshare).
  const need = gupFlags & FOLL.WRITE ? PTE.present | PTE.write : PTE.present | PTE.anonExclusive;
  const toPage = memmap.vmemmapBase;
  let large = 0;
  let i = 0;
  for (; i < max; i++) {
    if ((bits[index + i] & (need | PTE.special)) !== need) break;
    const pfn = frame[index + i];
    const section = (pfn / PAGES_PER_SECTION) | 0;
    const entry = sectionBase[section] + ((pfn & (PAGES_PER_SECTION - 1)) >>> sectionStride[section]);
    if (order[entry] === 0) {
      const refs = refcount[entry];
      if (refs <= 0) break;
      refcount[entry] = refs + GUP_PIN_COUNTING_BIAS;
    } else {
      const head = memmap.headEntryOf(pfn);
      if (refcount[head] <= 0) break;
      refcount[head]++;
      pincount[head]++;
      large++;
    }
    pages[at + i] = toPage > 0 ? toPage + pfn : memmap.pfnToPage(pfn);
  }
  work.steps += i;
  work.fills += i;
  work.grabs += i;
  work.atomics += i + large;
  return i === 0 && max > 0 && grabRefused(mm, index, need) ? -Errno.ENOMEM : i;
}

/** Whether an entry could be followed but its folio's reference count refuses a grab. */
function grabRefused(mm: MmStruct, index: number, need: number): boolean {
  const { bits, frame } = mm.pageTable.ptes;
  if ((bits[index] & (need | PTE.special)) !== need) return false;
  const { memmap } = mm.memory;
  return memmap.refcount[memmap.headEntryOf(frame[index])] <= 0;
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
  gupFlags: number,
  pages: Float64Array,
  at: number,
  work: GupWork,
): number {
  const { dirs, index, level } = mm.pageTable;
  const need = gupFlags & FOLL.WRITE ? PTE.present | PTE.write : PTE.present | PTE.anonExclusive;
  if ((dirs.bits[index] & (need | PTE.special)) !== need) return 0;
  const leafPages = level === 1 ? 2 ** 9 : 2 ** 18;
  const offset = vpn & (leafPages - 1);
  const npage = Math.min(want, leafPages - offset) | 0;
  const pfn: Pfn = dirs.frame[index] + offset;
  work.steps++;
  if (!grab(mm, pfn, 1, work)) return -Errno.ENOMEM;
  if (npage > 1) grab(mm, pfn, npage - 1, work);
  fillPages(mm, pfn, npage, pages, at);
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
function fillPages(mm: MmStruct, pfn: Pfn, npage: number, pages: Float64Array, at: number): void {
  const { memmap } = mm.memory;
  for (let done = 0; done < npage; ) {
    const first = memmap.pfnToPage(pfn + done);
    const n = Math.min(npage - done, PAGES_PER_SECTION - ((pfn + done) & (PAGES_PER_SECTION - 1))) | 0;
    const from = (at + done) | 0;
    for (let i = 0; i < n; i++) pages[from + i] = first + i;
    done += n;
  }
}
