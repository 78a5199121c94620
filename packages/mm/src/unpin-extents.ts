/**
 * Dropping the pins of extents: one put per folio, whatever its size. The way from one page to the
 * next leads through the frame number, which is right in every memory model, also where an extent
 * goes from one section to the next.
 *
 * @source reference strategies.md (j); mm/gup.c unpin_user_page_range_dirty_lock, 6.16
 */
import type { Extents, Pfn } from '@pinfold/base';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import type { Memory } from './memory.ts';
import { countDirty, countUnpin, putInSection, putLargeFolio, PutWork } from './unpin.ts';

/**
 * Drops a pin of every page of some extents; what holds no pins is left out.
 *
 * @param memory the machine's memory
 * @param extents the extents
 * @param from index of the first
 * @param to index after the last
 * @param makeDirty whether the device may have written to them
 * @returns pages unpinned
 * @throws {KernelBug} when a page holds no pin
 * @source reference strategies.md (j)
 */
export function unpinExtents(
  memory: Memory,
  extents: Extents,
  from: number,
  to: number,
  makeDirty: boolean,
): number {
  const { pfn, npage } = extents;
  const work = new PutWork();
  let pages = 0;
  for (let i = from; i < to; i++) {
    const whole = putFolios(memory.memmap, extents, i, to, makeDirty ? PG.dirty : 0, work);
    pages += work.pages;
    i += whole;
    if (i === to) break;
    const length = npage[i];
    if (length < 0) continue;
    putPages(memory, pfn[i], length, makeDirty, work);
    pages += length;
  }
  finish(memory, pages, makeDirty, work);
  return pages;
}

/**
 * Drops a pin of every page of a physical range, such as a part of an extent.
 *
 * @param memory the machine's memory
 * @param pfn first page frame
 * @param npage length in pages
 * @param makeDirty whether the device may have written to them
 * @throws {KernelBug} when a page holds no pin
 * @source reference strategies.md (j)
 */
export function unpinExtent(memory: Memory, pfn: Pfn, npage: number, makeDirty: boolean): void {
  const work = new PutWork();
  putPages(memory, pfn, npage, makeDirty, work);
  finish(memory, npage, makeDirty, work);
}

/**
 * Puts extents of which each is the beginning, or all, of one large folio: a loop of its own, without
 * a call inside, up to the first that is something else, or would free its folio.
 *
 * @returns extents put, `work.pages` their pages
 */
function putFolios(
  memmap: MemMap,
  { pfn, npage }: Extents,
  from: number,
  to: number,
  dirty: number,
  work: PutWork,
): number {
  const { sectionBase, sectionStride, refcount, pincount, order, flags } = memmap;
  const { perSection, sectionMask } = memmap;
  let pages = 0;
  let locks = 0;
  let i = from;
  for (; i < to; i++) {
    const first = pfn[i];
    const length = npage[i];
    const section = (first * perSection) | 0;
    const base = sectionBase[section];
    const head = base + ((first & sectionMask) >>> sectionStride[section]);
    if (length < 0 || base < 0 || order[head] === 0) break;
    const folioPages = 1 << order[head];
    const refs = refcount[head] - length;
    const pins = pincount[head] - length;
    if ((first & (folioPages - 1)) !== 0 || length > folioPages || refs <= 0 || pins < 0) break;
    const folioFlags = flags[head];
    if ((folioFlags & dirty) !== dirty) {
      flags[head] = folioFlags | dirty;
      locks++;
    }
    refcount[head] = refs;
    pincount[head] = pins;
    pages += length;
  }
  work.puts += i - from;
  work.large += i - from;
  work.locks += locks;
  work.pages = pages;
  return i - from;
}

/** Puts consecutive pages folio by folio: a large one at once, small ones in one loop per section. */
function putPages(
  { memmap }: Memory,
  pfn: Pfn,
  npage: number,
  makeDirty: boolean,
  work: PutWork,
): void {
  const dirty = makeDirty ? PG.dirty : 0;
  for (let done = 0; done < npage;) {
    const at = pfn + done;
    const left = npage - done;
    done +=
      memmap.order[memmap.headEntryOf(at)] > 0
        ? putLargeFolio(memmap, at, left, dirty, false, work)
        : putInSection(memmap, at, left, makeDirty, false, work);
  }
}

function finish(memory: Memory, pages: number, makeDirty: boolean, work: PutWork): void {
  countUnpin(memory, pages, work.puts, work.puts + work.large);
  if (makeDirty) countDirty(memory, work.puts, work.locks, work.largeLocks);
}
