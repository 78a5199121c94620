/**
 * Pinning without a page array: a walk over the leaves of a page table that grabs the folio behind
 * each leaf once, with as many pins as the leaf has pages in the range, and hands on extents. No
 * kernel has it; its rules are those of GUP, and where an entry is not fit GUP's own code makes it so.
 *
 * It begins at the page table, never at the folio: which pages of a folio are mapped, and where, only
 * the entries know. Three things differ from GUP besides the missing array. Entries of one table are
 * read one after the other, after one walk from the top. Whether a folio may stay where it is is
 * tested before it is grabbed, as fast GUP does, so that what must be migrated was never pinned. And
 * what does not fit into the extents is not pinned at all.
 *
 * @source reference strategies.md (j), mm.md §5; mm/gup.c __get_user_pages, try_grab_folio_fast, 6.16
 */
import { Errno, MAX_EXTENT, Slot, type Extents, type Pfn, type Vpn } from '@pinfold/base';
import { consecutiveRun } from './contiguity.ts';
import { folioPagesLeft, tryGrabFolio } from './folio.ts';
import { FOLL } from './foll.ts';
import { grabLeaves } from './grab-leaves.ts';
import { followable, grabSmallFolios, needBits } from './gup-follow.ts';
import { checkVmaFlags, faultinPage } from './gup.ts';
import type { MemMap } from './memmap.ts';
import { migrateForLongterm } from './migrate.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import type { Vma } from './vma.ts';

/** Why a walk ended before the range did. */
const STOP = {
  /** It did not, or the next table is another one. */
  none: 0,
  /** The next page would be an extent more than fits. */
  full: 1,
  /** The next entry must be faulted in. */
  absent: 2,
  /** The next folio may not stay where it is. */
  movable: 3,
  /** The next folio has no count that could be raised. */
  refused: 4,
} as const;

/** One call: what it counts, and why its last walk ended. */
class LeafWalk {
  tables = 0;
  visits = 0;
  merges = 0;
  grabs = 0;
  atomics = 0;
  stop: number = STOP.none;
}

/**
 * Pins the pages of a range for long, as extents.
 *
 * @param mm address space; the caller holds its mmap lock
 * @param start first virtual page
 * @param npage pages wanted, at least 1
 * @param write whether the device will write to them
 * @param out gets the extents, behind those that it has; the last one may grow. `full` says that the
 *   next page would be one extent too many
 * @returns pages pinned, 0 if `out` is full; or, if none was pinned, -EFAULT (not mapped, or not with
 *   this access), -ENOMEM (a movable page that could not be migrated, or a reference count that would
 *   overflow), with the reason in `mm.gupFailure`
 * @source reference strategies.md (j)
 */
export function pinUserExtents(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  write: boolean,
  out: Extents,
): number {
  const { memory } = mm;
  const scope = memory.memallocPin;
  mm.hasPinned = true;
  memory.memallocPin = true;
  const walk = new LeafWalk();
  try {
    return walkRange(mm, start, npage, FOLL.LONGTERM | (write ? FOLL.WRITE : 0), out, walk);
  } finally {
    memory.memallocPin = scope;
    count(mm, walk);
  }
}

/** The loop over tables: what a table does not give is faulted in or migrated, and tried again. */
function walkRange(
  mm: MmStruct,
  start: Vpn,
  npage: number,
  gupFlags: number,
  out: Extents,
  walk: LeafWalk,
): number {
  let vma: Vma | null = null;
  let need = 0;
  let done = 0;
  let tries = 0;
  let error = 0;
  while (done < npage && error === 0) {
    const vpn = start + done;
    if (vma === null || vpn >= vma.end) {
      vma = mm.vmas.lookup(vpn);
      error = checkVmaFlags(mm, vma, vpn, gupFlags);
      if (error !== 0 || vma === null) break;
      need = needBits(vma, gupFlags);
    }
    const got = pinTable(mm, vpn, Math.min(npage - done, vma.end - vpn), need, out, walk);
    done += got;
    if (got > 0) tries = 0;
    if (walk.stop === STOP.none) continue;
    if (walk.stop === STOP.full) {
      out.full = true;
      break;
    }
    error = makePinnable(mm, vma, vpn + got, gupFlags, walk.stop, tries++);
  }
  mm.memory.vmstat.nrFollPinAcquired += done;
  return done > 0 ? done : error;
}

/** Does for a page what its walk lacked; returns 0 to try again, or a negative errno. */
function makePinnable(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  gupFlags: number,
  stop: number,
  again: number,
): number {
  if (stop === STOP.absent) return faultinPage(mm, vma, vpn, gupFlags, again);
  if (stop === STOP.movable && migrateForLongterm(mm, vpn) === 0) return 0;
  const why =
    stop === STOP.movable
      ? 'the page is in movable memory and could not be migrated'
      : 'the reference count of the folio would overflow';
  mm.gupFailure = { vpn, why };
  return -Errno.ENOMEM;
}

/** Pins what the table that maps a page maps of a range; returns the pages, and why it ended. */
function pinTable(
  mm: MmStruct,
  vpn: Vpn,
  want: number,
  need: number,
  out: Extents,
  walk: LeafWalk,
): number {
  const { pageTable } = mm;
  walk.tables++;
  walk.stop = STOP.absent;
  if (vpn >= pageTable.virtualPages || !pageTable.walk(vpn)) return 0;
  walk.stop = STOP.none;
  const inTable = pageTable.tableMask + 1 - (pageTable.index & pageTable.tableMask);
  return pageTable.level === 0
    ? pinPtes(mm, Math.min(want, inTable) | 0, need, out, walk)
    : pinLargeLeaves(mm, vpn, want, need, out, walk);
}

/** Pins PMD or PUD leaves, from the one that the walk found to the end of its table. */
function pinLargeLeaves(
  { pageTable, memory: { memmap } }: MmStruct,
  vpn: Vpn,
  want: number,
  need: number,
  out: Extents,
  walk: LeafWalk,
): number {
  const { dirs, index, level, tableBits, tableMask } = pageTable;
  const { bits, frame } = dirs;
  const order = tableBits * level;
  const leafPages = 1 << order;
  const end = (index | tableMask) + 1;
  const mask = need | PTE.special;
  let offset = vpn & (leafPages - 1);
  let done = 0;
  let at = index;
  while (at < end && done < want) {
    const whole = offset > 0 ? 0 : Math.min(end - at, Math.floor((want - done) / leafPages));
    const grabbed = grabLeaves(memmap, dirs, at, at + whole, mask, need, order, out);
    walk.grabs += grabbed;
    walk.atomics += 2 * grabbed;
    done += grabbed * leafPages;
    at += grabbed;
    if (at === end || done === want) break;
    // An entry that leads to another table has no bits: it ends the loop, and gets a walk of its own.
    if ((bits[at] & mask) !== need) {
      if (at === index) walk.stop = STOP.absent;
      break;
    }
    const n = Math.min(want - done, leafPages - offset);
    walk.stop = grabInto(memmap, frame[at] + offset, n, out, walk);
    if (walk.stop !== STOP.none) break;
    done += n;
    offset = 0;
    at++;
  }
  walk.visits += at - index + (at < end && done < want ? 1 : 0);
  walk.merges += at - index;
  return done;
}

/** Grabs the folio of a leaf and adds its pages to the extents; returns why it did not. */
function grabInto(memmap: MemMap, pfn: Pfn, npage: number, out: Extents, walk: LeafWalk): number {
  if (!fits(out, pfn, npage)) return STOP.full;
  if (!memmap.longtermPinnable(pfn)) return STOP.movable;
  const atomics = tryGrabFolio(memmap, pfn, npage);
  if (atomics === 0) return STOP.refused;
  walk.grabs++;
  walk.atomics += atomics;
  out.add(pfn, npage, true);
  return STOP.none;
}

/** Whether pages can be added: there is a place for an extent, or they go on with the last one. */
function fits({ count, capacity, pfn, npage }: Extents, first: Pfn, more: number): boolean {
  if (count < capacity) return true;
  const length = npage[count - 1];
  return length > 0 && pfn[count - 1] + length === first && length + more <= MAX_EXTENT;
}

/** Pins the pages of last-level entries, from the one that the walk found, run by run. */
function pinPtes(
  { pageTable, memory: { memmap } }: MmStruct,
  max: number,
  need: number,
  out: Extents,
  walk: LeafWalk,
): number {
  const { ptes, index } = pageTable;
  const { frame } = ptes;
  const { sectionPages, sectionMask } = memmap;
  const present = followable(ptes, index, max, need);
  let done = 0;
  while (done < present) {
    const at = index + done;
    const pfn = frame[at];
    const left = Math.min(present - done, sectionPages - (pfn & sectionMask)) | 0;
    const run = consecutiveRun(frame, at, at + left);
    if (!fits(out, pfn, run)) walk.stop = STOP.full;
    else if (!memmap.longtermPinnable(pfn)) walk.stop = STOP.movable;
    if (walk.stop !== STOP.none) break;
    const grabbed = grabRun(memmap, pfn, run, walk);
    if (grabbed > 0) out.add(pfn, grabbed, true);
    done += grabbed;
    if (grabbed === run) continue;
    walk.stop = STOP.refused;
    break;
  }
  walk.visits += done < max ? done + 1 : done;
  walk.merges += done;
  if (done === 0 && present === 0) walk.stop = STOP.absent;
  return done;
}

/** Grabs the folios of consecutive frames of one section, each once; ends at a refused grab. */
function grabRun(memmap: MemMap, pfn: Pfn, npage: number, walk: LeafWalk): number {
  let done = 0;
  while (done < npage) {
    const small = grabSmallFolios(memmap, pfn + done, npage - done);
    walk.grabs += small;
    walk.atomics += small;
    done += small;
    if (small > 0) continue;
    const n = Math.min(npage - done, folioPagesLeft(memmap, pfn + done));
    const atomics = tryGrabFolio(memmap, pfn + done, n);
    if (atomics === 0) break;
    walk.grabs++;
    walk.atomics += atomics;
    done += n;
  }
  return done;
}

function count({ memory: { counters } }: MmStruct, walk: LeafWalk): void {
  counters.add(Slot.extentPinCalls, 1);
  counters.add(Slot.leafTables, walk.tables);
  counters.add(Slot.leafVisits, walk.visits);
  counters.add(Slot.extentMerges, walk.merges);
  counters.add(Slot.folioGrabs, walk.grabs);
  counters.add(Slot.grabAtomics, walk.atomics);
}
