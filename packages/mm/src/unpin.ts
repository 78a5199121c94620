/**
 * Dropping pins: by page, by page array and by physical range, with dirtying.
 *
 * Every function counts a put per folio segment: consecutive pages of one folio are put at once.
 * The zero pages are put by page and by array; no physical range of a longterm pin has them.
 *
 * @source mm/gup.c unpin_user_page, unpin_user_pages, unpin_user_pages_dirty_lock,
 * unpin_user_page_range_dirty_lock, 6.16; reference mm.md §3.2
 */
import {
  pagesOf,
  KernelBug,
  maskedRun,
  Slot,
  type Page,
  type Pfn,
  type PageNumbers,
  type Tracer,
} from '@pinfold/base';
import { dirtyFolioLock, GUP_PIN_COUNTING_BIAS, gupPutFolio } from './folio.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import type { Memory } from './memory.ts';
import { headEntryOrZero, HUGE_ZERO_PAGE, ZERO_PAGE } from './zero-page.ts';

/**
 * Drops one pin of one page.
 *
 * @param memory the machine's memory
 * @param page the page
 * @throws {KernelBug} when the page holds no pin
 * @source mm/gup.c unpin_user_page, 6.16
 */
export function unpinUserPage(memory: Memory, page: Page): void {
  memory.counters.tracer?.repeat('unpin_user_page', 1, 0, 0, 0, 0);
  const pfn = memory.memmap.pageToPfn(page);
  const head = headEntryOrZero(memory, pfn);
  const atomics = head < 0 ? putZeroPage(head) : gupPutFolio(memory.memmap, pfn, 1);
  memory.counters.add(Slot.unpinCalls, 1);
  memory.counters.add(Slot.unpinUserPageCalls, 1);
  const held = head === ZERO_PAGE && !memory.rules.pinsZeroPage ? 0 : 1;
  countUnpin(memory, held, 1, atomics);
}

/**
 * Drops one pin of every page of an array.
 *
 * @param memory the machine's memory
 * @param pages page array
 * @param npage entries to unpin
 * @param from index of the first entry
 * @throws {KernelBug} when a page holds no pin
 * @source mm/gup.c unpin_user_pages, 6.16
 */
export function unpinUserPages(memory: Memory, pages: PageNumbers, npage: number, from = 0): void {
  memory.counters.tracer?.repeat('unpin_user_pages', 1, npage, 0, 0, 0);
  memory.counters.add(Slot.unpinUserPagesCalls, 1);
  putPageArray(memory, pages, npage, false, from);
}

/**
 * Drops one pin of every page of an array, marking the pages dirty.
 *
 * @param memory the machine's memory
 * @param pages page array
 * @param npage entries to unpin
 * @param makeDirty whether the device may have written to them
 * @param from index of the first entry
 * @throws {KernelBug} when a page holds no pin
 * @source mm/gup.c unpin_user_pages_dirty_lock, gup_folio_next, 6.16
 */
export function unpinUserPagesDirtyLock(
  memory: Memory,
  pages: PageNumbers,
  npage: number,
  makeDirty: boolean,
  from = 0,
): void {
  const { tracer } = memory.counters;
  if (tracer !== null) traceDirtyLock(tracer, npage, 1, makeDirty);
  memory.counters.add(Slot.unpinCalls, 1);
  if (!makeDirty) memory.counters.add(Slot.unpinUserPagesCalls, 1);
  putPageArray(memory, pages, npage, makeDirty, from);
}

/** Puts the pages of an array, consecutive entries of one folio at once. */
function putPageArray(
  memory: Memory,
  pages: PageNumbers,
  npage: number,
  makeDirty: boolean,
  from: number,
): void {
  const { memmap } = memory;
  const end = from + npage;
  let puts = 0;
  let zeros = 0;
  let atomics = 0;
  let locks = 0;
  let largeLocks = 0;
  for (let i = from; i < end; puts++) {
    const pfn = memmap.pageToPfn(pages[i]);
    const head = headEntryOrZero(memory, pfn);
    let nr = 1;
    while (i + nr < end && headEntryOrZero(memory, memmap.pageToPfn(pages[i + nr])) === head) nr++;
    if (head === ZERO_PAGE) zeros += nr;
    if (makeDirty && head >= 0 && dirtyFolioLock(memmap, head) > 0) {
      locks++;
      if (memmap.order[head] > 0) largeLocks++;
    }
    atomics += head < 0 ? putZeroPage(head) : gupPutFolio(memmap, pfn, nr);
    i += nr;
  }
  memory.counters.add(Slot.putEntries, npage);
  countUnpin(memory, npage - zeros, puts, atomics);
  if (makeDirty) countDirty(memory, puts, locks, largeLocks);
}

/** Atomics of a put of a zero page, whose counts are not kept: none, or those of a large folio. */
function putZeroPage(head: number): number {
  return head === ZERO_PAGE ? 0 : 2;
}

/**
 * Drops one pin of every page of a physical range, one put per folio. The way from one page to the
 * next is that of the release ({@link MmRules.rangeUnpinStep}).
 *
 * @param memory the machine's memory
 * @param page first page
 * @param npage length of the range in pages
 * @param makeDirty whether the device may have written to them
 * @throws {KernelBug} when a page of the range holds no pin, or `page + i` has left the memory map
 * @source mm/gup.c unpin_user_page_range_dirty_lock, gup_folio_range_next, 6.16 and 6.18
 */
export function unpinUserPageRangeDirtyLock(
  memory: Memory,
  page: Page,
  npage: number,
  makeDirty: boolean,
): void {
  const { memmap, rules } = memory;
  const { tracer } = memory.counters;
  tracer?.enter('unpin_user_page_range_dirty_lock', npage);
  const start = memmap.pageToPfn(page);
  if (tracer?.details) tracePuts(tracer, memmap, start, npage);
  tracer?.exit('unpin_user_page_range_dirty_lock');
  const byPfn = rules.rangeUnpinStep === 'nth_page';
  const work = new PutWork();
  for (let done = 0; done < npage;) {
    const pfn = byPfn ? start + done : memmap.pageToPfn(page + done);
    done += putInSection(memmap, pfn, npage - done, makeDirty, false, work);
  }
  memory.counters.add(Slot.unpinCalls, 1);
  memory.counters.add(Slot.unpinRangeCalls, 1);
  countUnpin(memory, npage, work.puts, work.puts + work.large);
  if (makeDirty) countDirty(memory, work.puts, work.locks, work.largeLocks);
}

/**
 * Drops pins of one folio, marking it dirty. Proposed in June 2025, never merged.
 *
 * @param memory the machine's memory
 * @param pfn any page of the folio
 * @param npins pins to drop
 * @param makeDirty whether the device may have written to it
 * @throws {KernelBug} when the folio holds fewer pins
 * @source Li Zhe, patch 2/3 of 17 June 2025, unpin_user_folio_dirty_locked
 */
export function unpinUserFolioDirtyLocked(
  memory: Memory,
  pfn: Pfn,
  npins: number,
  makeDirty: boolean,
): void {
  const { memmap, counters } = memory;
  if (makeDirty) {
    const head = memmap.headEntryOf(pfn);
    const locks = dirtyFolioLock(memmap, head);
    countDirty(memory, 1, locks, memmap.order[head] > 0 ? locks : 0);
  }
  counters.add(Slot.unpinCalls, 1);
  countUnpin(memory, npins, 1, gupPutFolio(memmap, pfn, npins));
}

/**
 * As `npage` calls of {@link unpinUserPagesDirtyLock} with one page each, for consecutive page
 * frames: what a caller does that puts pages one by one. The calls are made in one loop so that
 * their counts can be added once.
 *
 * @param memory the machine's memory
 * @param pfn first page frame
 * @param npage number of pages, and of calls
 * @param makeDirty whether the device may have written to them
 * @throws {KernelBug} when a page holds no pin
 * @source mm/gup.c unpin_user_pages_dirty_lock with npages = 1, 6.16
 */
export function unpinUserPagesOneByOne(
  memory: Memory,
  pfn: Pfn,
  npage: number,
  makeDirty: boolean,
): void {
  const { tracer } = memory.counters;
  if (tracer !== null) traceDirtyLock(tracer, 1, npage, makeDirty);
  const work = new PutWork();
  for (let done = 0; done < npage;) {
    const zeros = hugeZeroRun(memory, pfn + done, npage - done);
    work.puts += zeros;
    work.large += zeros;
    done += zeros;
    if (done === npage) break;
    const upToZeros = pfn + done < memory.hugeZeroPfn ? memory.hugeZeroPfn - pfn - done : npage;
    const left = Math.min(npage - done, upToZeros);
    done += putInSection(memory.memmap, pfn + done, left, makeDirty, true, work);
  }
  memory.counters.add(Slot.unpinCalls, npage);
  if (!makeDirty) memory.counters.add(Slot.unpinUserPagesCalls, npage);
  countUnpin(memory, npage, work.puts, work.puts + work.large);
  if (makeDirty) countDirty(memory, work.puts, work.locks, work.largeLocks);
}

/** Pages of the huge zero page from one on, whose counts are not kept. */
function hugeZeroRun(memory: Memory, pfn: Pfn, npage: number): number {
  if (headEntryOrZero(memory, pfn) !== HUGE_ZERO_PAGE) return 0;
  const { hugeZeroPfn, memmap } = memory;
  return Math.min(npage, hugeZeroPfn + pagesOf(memmap.geometry.pmdOrder) - pfn);
}

/** Calls of unpin_user_pages_dirty_lock in a row; for clean pages each makes another call. */
function traceDirtyLock(tracer: Tracer, npage: number, calls: number, makeDirty: boolean): void {
  const fn = 'unpin_user_pages_dirty_lock';
  if (makeDirty) tracer.repeat(fn, calls, npage, 0, 0, 0);
  for (let i = 0; i < calls && !makeDirty; i++) {
    tracer.enter(fn, npage);
    tracer.repeat('unpin_user_pages', 1, npage, 0, 0, 0);
    tracer.exit(fn);
  }
}

/** The puts of a range of consecutive frames, folio by folio. */
function tracePuts(tracer: Tracer, memmap: MemMap, pfn: Pfn, npage: number): void {
  for (let done = 0; done < npage;) {
    const left = folioPagesLeft(pfn + done, memmap.order[memmap.headEntryOf(pfn + done)]);
    const refs = Math.min(left, npage - done);
    tracer.repeat('gup_put_folio', 1, refs, 0, 0, 0);
    done += refs;
  }
}

/** Counts of one unpin call. */
export class PutWork {
  /** Puts: folio segments. */
  puts = 0;
  /** Puts of large folios, which take two atomics. */
  large = 0;
  /** Folios that were clean, and locked to be marked dirty. */
  locks = 0;
  /** Large ones of them. */
  largeLocks = 0;
  /** Pages of the last loop over whole folios. */
  pages = 0;
}

/**
 * Puts consecutive pages of one section, folio by folio: each folio's part in one segment, or page
 * by page. Only a segment of a folio larger than a section leaves the section.
 *
 * @param memmap memory map
 * @param pfn first page frame
 * @param npage number of pages
 * @param makeDirty whether to mark the folios dirty
 * @param oneByOne whether every page is a put of its own
 * @param work counts the puts
 * @returns pages put
 * @throws {KernelBug} when a page holds no pin
 */
export function putInSection(
  memmap: MemMap,
  pfn: Pfn,
  npage: number,
  makeDirty: boolean,
  oneByOne: boolean,
  work: PutWork,
): number {
  const offset = (pfn & memmap.sectionMask) | 0;
  const stride = memmap.strideOf(pfn);
  const base = (memmap.entryOf(pfn) - (offset >>> stride)) | 0;
  const end = Math.min(memmap.sectionPages, offset + npage) | 0;
  const dirty = makeDirty ? PG.dirty : 0;
  let at = offset;
  while (at < end) {
    // Small folios exist only where every page has a state entry of its own.
    const n = stride === 0 ? putSmallPages(memmap, base + at, end - at) : 0;
    if (n > 0) {
      work.puts += n;
      if (makeDirty) work.locks += dirtySmallPages(memmap, base + at, n);
      at += n;
      continue;
    }
    const from = pfn + (at - offset);
    at += putSpecial(memmap, from, npage - (at - offset), dirty, oneByOne, work);
  }
  return at - offset;
}

/** Drops a pin of every small page. */
function putSmallPages(memmap: MemMap, first: number, npage: number): number {
  const small = maskedRun(memmap.order, memmap.orderWords, first, first + npage, 0xff, 0);
  const counts = memmap.refcount;
  const end = first + small;
  let i = first;
  for (; i < end; i++) {
    const count = counts[i];
    if (count <= GUP_PIN_COUNTING_BIAS) break;
    counts[i] = count - GUP_PIN_COUNTING_BIAS;
  }
  return i - first;
}

/** The dirty test of every small page from an entry on; returns how many were clean. */
function dirtySmallPages(memmap: MemMap, first: number, npage: number): number {
  const { flags, flagWords } = memmap;
  const end = first + npage;
  let locks = 0;
  for (let entry = first; ; locks++) {
    entry += maskedRun(flags, flagWords, entry, end, PG.dirty, PG.dirty);
    if (entry === end) return locks;
    flags[entry] |= PG.dirty;
  }
}

/** Puts what the loop over small pages leaves out: a large folio, or a page with no more references. */
function putSpecial(
  memmap: MemMap,
  pfn: Pfn,
  npage: number,
  dirty: number,
  oneByOne: boolean,
  work: PutWork,
): number {
  const head = memmap.headEntryOf(pfn);
  if (memmap.order[head] > 0) return putLargeFolio(memmap, pfn, npage, dirty, oneByOne, work);
  if (dirty !== 0) work.locks += dirtyFolioLock(memmap, head);
  gupPutFolio(memmap, pfn, 1);
  work.puts++;
  return 1;
}

/**
 * Puts the pages of one large folio in one put or, one by one, in a put each.
 *
 * @param memmap memory map
 * @param pfn first page frame
 * @param npage pages to put, as far as the folio goes
 * @param dirty {@link PG.dirty} to mark the folio dirty, or 0
 * @param oneByOne whether every page is a put of its own
 * @param work counts the puts
 * @returns pages put
 * @throws {KernelBug} when a page holds no pin
 */
export function putLargeFolio(
  memmap: MemMap,
  pfn: Pfn,
  npage: number,
  dirty: number,
  oneByOne: boolean,
  work: PutWork,
): number {
  const { flags, refcount, pincount } = memmap;
  const head = memmap.headEntryOf(pfn);
  const left = folioPagesLeft(pfn, memmap.order[head]);
  const nr = Math.min(npage, oneByOne ? Math.min(left, memmap.sectionPages) : left) | 0;
  const puts = oneByOne ? nr : 1;
  const step = oneByOne ? 1 : nr;
  let locks = 0;
  let i = 0;
  for (; i < puts; i++) {
    const refs = refcount[head] - step;
    const pins = pincount[head] - step;
    if ((refs | pins) < 0) break;
    const folioFlags = flags[head];
    if ((folioFlags & dirty) !== dirty) {
      flags[head] = folioFlags | dirty;
      locks++;
    }
    refcount[head] = refs;
    pincount[head] = pins;
  }
  if (i < puts)
    throw new KernelBug('gup_put_folio', `pfn ${pfn + i} holds no pin that could be dropped`);
  work.locks += locks;
  work.largeLocks += locks;
  if (refcount[head] === 0) memmap.freeFolio(pfn);
  work.puts += puts;
  work.large += puts;
  return nr;
}

/** Pages from one to the end of its folio. */
function folioPagesLeft(pfn: Pfn, order: number): number {
  return (1 << order) - (pfn & ((1 << order) - 1));
}

/**
 * Adds the puts of one unpin call to the counters.
 *
 * @param memory the machine's memory
 * @param npage pages unpinned
 * @param puts folio segments put
 * @param atomics atomic operations of the puts
 */
export function countUnpin(memory: Memory, npage: number, puts: number, atomics: number): void {
  memory.vmstat.nrFollPinReleased += npage;
  memory.counters.add(Slot.putCalls, puts);
  memory.counters.add(Slot.putAtomics, atomics);
}

/**
 * Adds the dirty tests of one unpin call to the counters.
 *
 * @param memory the machine's memory
 * @param tests folio segments tested
 * @param locks those that were clean
 * @param large those of them that are large
 */
export function countDirty(memory: Memory, tests: number, locks: number, large: number): void {
  memory.counters.add(Slot.dirtyTests, tests);
  memory.counters.add(Slot.dirtyLocks, locks);
  memory.counters.add(Slot.dirtyLocksLarge, large);
}
