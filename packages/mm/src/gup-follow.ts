/**
 * One step of slow GUP: the leaf that a walk has found is followed, its folio grabbed, and the
 * pointers of its pages are stored. The entries of one last-level table are done in one inner loop;
 * each of them is one step.
 *
 * @source mm/gup.c follow_page_mask, follow_page_pte, follow_huge_pmd, gup_must_unshare, 6.16;
 * reference mm.md §5.2 and §5.5
 */
import {
  Errno,
  maskedRun,
  pagesOf,
  type PageNumbers,
  type Pfn,
  type TableArena,
  type Vpn,
} from '@pinfold/base';
import { consecutiveRun } from './contiguity.ts';
import { FOLL } from './foll.ts';
import { addToSmallFolios, GUP_PIN_COUNTING_BIAS, tryGrabFolio } from './folio.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/** Counts of one GUP call, added to the counters once at its end. */
export class GupWork {
  steps = 0;
  /** Steps that ended at a leaf of 2 MiB or more. */
  large = 0;
  fills = 0;
  grabs = 0;
  atomics = 0;
  /** Pages that were the zero page, which holds no pins. */
  zeros = 0;
}

/**
 * Pins pages from one on, as far as the leaf or the last-level table that maps it goes.
 *
 * @param mm address space
 * @param vma the VMA that contains the page and allows the access
 * @param vpn virtual page
 * @param want pages wanted, at least 1
 * @param gupFlags {@link FOLL} flags
 * @param pages gets the `struct page` of every pinned page
 * @param at index of the first of them
 * @param work what the call counts
 * @returns pages pinned; 0 if the first must be faulted in; -ENOMEM if it could not be grabbed
 * @source mm/gup.c follow_page_mask, 6.16
 */
export function followLeaf(
  mm: MmStruct,
  vma: Vma,
  vpn: Vpn,
  want: number,
  gupFlags: number,
  pages: PageNumbers,
  at: number,
  work: GupWork,
): number {
  const { pageTable } = mm;
  if (vpn >= pageTable.virtualPages || !pageTable.walk(vpn)) return 0;
  const { level, tableMask } = pageTable;
  const inTable = tableMask + 1 - (pageTable.index & tableMask);
  const max = level === 0 ? Math.min(want, inTable, vma.end - vpn) | 0 : want;
  if (gupFlags & FOLL.WRITE || vma.flags & VM.SHARED || unsharesAll(mm, gupFlags)) {
    const need = needBits(vma, gupFlags);
    return level === 0
      ? followPtes(mm, max, need, pages, at, work)
      : followLargeLeaf(mm, vpn, max, need, pages, at, work);
  }
  const zeros = followZeroPage(mm, vpn, max, pages, at, work);
  if (zeros > 0) return zeros;
  if (level > 0) return followLargeLeaf(mm, vpn, max, unsharedBits(mm), pages, at, work);
  const unshared = mm.memory.rules.readPinUnshare === 'nothing' ? max : unsharedPtes(mm, max);
  return followPtes(mm, unshared, PTE.present, pages, at, work);
}

/** Whether a read-only pin of a private mapping takes pages only that are the process's own. */
function unsharesAll({ memory }: MmStruct, gupFlags: number): boolean {
  return (gupFlags & FOLL.LONGTERM) !== 0 && memory.rules.readPinUnshare === 'private';
}

/**
 * Bits that an entry must have. A longterm pin to read takes of a private mapping only pages that
 * belong to the process alone; it has the others unshared first.
 *
 * @param vma the VMA
 * @param gupFlags {@link FOLL} flags
 * @returns {@link PTE} bits
 * @source mm/gup.c can_follow_write_pte, gup_must_unshare, 6.16
 */
export function needBits(vma: Vma, gupFlags: number): number {
  if (gupFlags & FOLL.WRITE) return PTE.present | PTE.write;
  const cow = (vma.flags & (VM.SHARED | VM.MAYWRITE)) === VM.MAYWRITE;
  return cow ? PTE.present | PTE.anonExclusive : PTE.present;
}

/**
 * How many entries a short pin to read may follow in a private mapping: it takes the pages of a
 * file, but an anonymous page only if it belongs to the process alone.
 */
function unsharedPtes({ pageTable, memory: { memmap } }: MmStruct, max: number): number {
  const { ptes, index } = pageTable;
  let run = 0;
  for (; run < max; run++) {
    const bits = ptes.bits[index + run];
    if ((bits & PTE.present) === 0) break;
    if ((bits & (PTE.anonExclusive | PTE.special)) !== 0) continue;
    if ((memmap.flags[memmap.headEntryOf(ptes.frame[index + run])] & PG.anon) !== 0) break;
  }
  return run;
}

/** As {@link unsharedPtes}, for a large leaf: the bits that it must have. */
function unsharedBits({ pageTable, memory: { memmap, rules } }: MmStruct): number {
  const { dirs, index } = pageTable;
  if ((dirs.bits[index] & PTE.special) !== 0 || rules.readPinUnshare === 'nothing')
    return PTE.present;
  const anon = (memmap.flags[memmap.headEntryOf(dirs.frame[index])] & PG.anon) !== 0;
  return anon ? PTE.present | PTE.anonExclusive : PTE.present;
}

/**
 * Takes the zero page, which a grab does not count, or pages of the huge zero page. The counts of the
 * latter's folio are not kept.
 *
 * @returns pages taken; 0 if no zero page is mapped there
 * @source mm/gup.c follow_page_pte, try_grab_folio, 6.16
 */
function followZeroPage(
  { pageTable, memory }: MmStruct,
  vpn: Vpn,
  want: number,
  pages: PageNumbers,
  at: number,
  work: GupWork,
): number {
  const { level, index, ptes, dirs } = pageTable;
  const { bits, frame } = level === 0 ? ptes : dirs;
  const zero = level === 0 ? memory.zeroPfn : memory.hugeZeroPfn;
  if ((bits[index] & PTE.special) === 0 || frame[index] !== zero) return 0;
  const leafPages = pagesOf(pageTable.tableBits * level);
  const offset = vpn % leafPages;
  const npage = Math.min(want, leafPages - offset);
  for (let i = 0; i < npage; i++) pages[at + i] = memory.memmap.pfnToPage(zero + offset + i);
  work.steps++;
  work.fills += npage;
  work.grabs += npage > 1 ? 2 : 1;
  if (level === 0) work.zeros += memory.rules.pinsZeroPage ? 0 : 1;
  else {
    work.large++;
    work.atomics += npage > 1 ? 4 : 2;
  }
  return npage;
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
  const { sectionPages, sectionMask } = memmap;
  const present = followable(ptes, index, max, need);
  let done = 0;
  while (done < present) {
    const pfn = ptes.frame[index + done];
    const left = Math.min(present - done, sectionPages - (pfn & sectionMask)) | 0;
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
  const { tracer } = mm.memory.counters;
  if (done > 0 && tracer?.details) tracer.repeat('try_grab_folio', done, 1, 0, 0, 0);
  if (done === 0 && present > 0) return -Errno.ENOMEM;
  return done;
}

/**
 * How many last-level entries, from one on, GUP may follow with this access.
 *
 * @param table the last-level tables
 * @param index the first entry
 * @param max entries to look at
 * @param need bits that an entry must have, of {@link needBits}
 * @returns 0 to max
 */
export function followable(
  { bits, words }: TableArena,
  index: number,
  max: number,
  need: number,
): number {
  return maskedRun(bits, words, index, index + max, need | PTE.special, need);
}

/**
 * Stores the pointers of frames of one section; where they are the frames, a long run is one copy.
 *
 * @param frame the frames
 * @param index index of the first
 * @param npage number of frames
 * @param pages gets the pointers
 * @param at index of the first of them
 * @param toPage what a pointer is more than its frame
 */
export function copyFrames(
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

/**
 * Grabs order-0 folios of consecutive frames, a pin each; ends at a large folio or a refused grab.
 *
 * @param memmap memory map
 * @param pfn first page frame
 * @param npage number of pages, all of one section
 * @returns pages grabbed
 * @source mm/gup.c try_grab_folio, 6.16
 */
export function grabSmallFolios(memmap: MemMap, pfn: Pfn, npage: number): number {
  // Small folios exist only where every page has a state entry of its own.
  const first = memmap.entryOf(pfn);
  if (memmap.strideOf(pfn) !== 0) return 0;
  return addToSmallFolios(memmap, first, npage, GUP_PIN_COUNTING_BIAS);
}

/**
 * Pins up to the end of the PMD or PUD leaf that the walk found.
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
  const { dirs, index, level, tableBits } = mm.pageTable;
  if ((dirs.bits[index] & (need | PTE.special)) !== need) return 0;
  const leafPages = 1 << (tableBits * level);
  const offset = vpn & (leafPages - 1);
  const npage = Math.min(want, leafPages - offset) | 0;
  const pfn: Pfn = dirs.frame[index] + offset;
  work.steps++;
  work.large++;
  if (!grab(mm, pfn, 1, work)) return -Errno.ENOMEM;
  if (npage > 1) grab(mm, pfn, npage - 1, work);
  fillPages(mm.memory.memmap, pfn, npage, pages, at);
  work.fills += npage;
  return npage;
}

function grab(mm: MmStruct, pfn: Pfn, refs: number, work: GupWork): boolean {
  const atomics = tryGrabFolio(mm.memory.memmap, pfn, refs);
  const { tracer } = mm.memory.counters;
  if (tracer?.details) tracer.repeat('try_grab_folio', 1, refs, 0, 0, 0);
  work.grabs++;
  work.atomics += atomics;
  return atomics > 0;
}

/**
 * Stores the pointers of consecutive frames; only a section border may break their sequence.
 *
 * @param memmap memory map
 * @param pfn first page frame
 * @param npage number of pages
 * @param pages gets the pointers
 * @param at index of the first of them
 */
export function fillPages(
  memmap: MemMap,
  pfn: Pfn,
  npage: number,
  pages: PageNumbers,
  at: number,
): void {
  const { sectionPages, sectionMask } = memmap;
  for (let done = 0; done < npage;) {
    const first = memmap.pfnToPage(pfn + done);
    const n = Math.min(npage - done, sectionPages - ((pfn + done) & sectionMask)) | 0;
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
