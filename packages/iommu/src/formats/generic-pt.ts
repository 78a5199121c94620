/**
 * Radix tables as the generic page table code keeps them, whatever the format of their entries.
 *
 * - It is given whole ranges, and chooses the leaf size at every step itself. An entry that is
 *   present ends the map. A large leaf over left-over tables that are empty frees them; all that
 *   one map replaces is flushed once, at its end.
 * - Unmapping takes a large leaf whole if the range reaches its start, refuses to begin inside one,
 *   and ends at an absent entry; what it reports is what it cleared. Tables that the range covers
 *   are freed with the next sync.
 * - The gather only grows: neither a gap nor another size syncs.
 *
 * @source drivers/iommu/generic_pt/iommu_pt.h, 7.2; reference iommu.md §3 to §5, §14.4
 */
import {
  Errno,
  LEAF,
  pagesOf,
  PTRS_PER_TABLE,
  Slot,
  type Extents,
  type IovaPn,
  type Pfn,
} from '@pinfold/base';
import { IotlbGather } from '../iotlb-gather.ts';
import { iommuPgsize, Pgsize } from '../pgsize.ts';
import { IOMMU, type IoPageTable } from './format.ts';
import {
  clearEntries,
  COPIES_SHIFT,
  ENTRY_PAGES,
  RadixTables,
  TABLE_PAGES,
} from './radix-tables.ts';

/** End of the output addresses in pages: entries hold 52 address bits. */
const OUTPUT_PAGES = 2 ** 40;
/** End of the input addresses that 64 bits can name. */
const ADDRESS_SPACE_PAGES = 2 ** 52;

/** What the formats of the generic page table code have in common. */
export abstract class GenericPt extends RadixTables implements IoPageTable {
  readonly isIommupt = true;
  readonly #pgsize = new Pgsize();
  /** What the map under way has replaced; empty between maps. */
  readonly #replaced = new IotlbGather();
  /** Pages that the unmap under way has cleared. */
  #unmapped = 0;

  /**
   * Invalidates the gathered range and frees the tables that waited for it.
   *
   * @param gather the pending invalidation, empty afterwards
   */
  abstract iotlbSync(gather: IotlbGather): void;

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    const npage = count * pagesOf(order);
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    if (bits === 0 || npage === 0) return -Errno.EINVAL;
    if (iovaPn + npage > ADDRESS_SPACE_PAGES) return -Errno.EOVERFLOW;
    if (pfn >= OUTPUT_PAGES || iovaPn + npage > this.aperturePages) return -Errno.ERANGE;
    if (iovaPn + npage > this.reach) this.grow(iovaPn + npage);
    let error = 0;
    while (this.mapped < npage && error === 0) {
      const at = iovaPn + this.mapped;
      iommuPgsize(this.pageOrders, at, pfn + this.mapped, npage - this.mapped, this.#pgsize);
      error = this.#mapInTable(at, pfn + this.mapped, this.#pgsize, bits);
    }
    if (this.#replaced.freelist.length > 0) {
      this.counters.add(Slot.iotlbGatherSyncs, 1);
      this.iotlbSync(this.#replaced);
    }
    return error;
  }

  mapLeaves(iovaPn: IovaPn, extents: Extents, from: number, to: number, prot: number): number {
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    return bits === 0 ? 0 : this.mapWholeLeaves(iovaPn, extents, from, to, bits);
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    const npage = count * pagesOf(order);
    if (npage === 0 || iovaPn + npage > this.aperturePages) return 0;
    this.#unmapped = 0;
    const last = Math.min(iovaPn + npage, this.reach) - 1;
    if (iovaPn <= last) this.#unmap(this.root, this.top, iovaPn, last, gather.freelist);
    this.addToGather(gather, iovaPn, this.#unmapped);
    return this.#unmapped;
  }

  /**
   * Puts a range that was unmapped into a gather, which may have to be flushed first.
   *
   * @param gather the gather
   * @param iovaPn first page
   * @param npage length in pages
   */
  protected addToGather(gather: IotlbGather, iovaPn: IovaPn, npage: number): void {
    gather.addRange(iovaPn, npage);
  }

  /**
   * Adds levels at the top until the table reaches an end; a format whose root is fixed has none.
   *
   * @param _end first page that need not be reached
   */
  protected grow(_end: IovaPn): void {
    // The aperture is what the levels reach.
  }

  /**
   * Writes leaves of one size up to the end of their table; returns 0, or -EADDRINUSE at an entry
   * that is present. `mapped` grows by what was written.
   */
  #mapInTable(iovaPn: IovaPn, pfn: Pfn, { order, count }: Pgsize, bits: number): number {
    const level = Math.floor(order / 9);
    const pages = ENTRY_PAGES[level];
    const step = 1 << (order - 9 * level);
    const packed = bits | ((order - 9 * level) << COPIES_SHIFT);
    const arena = level === 0 ? this.pts : this.dirs;
    const first = this.entryAt(iovaPn, level);
    if (first === LEAF) return -Errno.EADDRINUSE;
    const end = Math.min(PTRS_PER_TABLE - (first & 511), count * step);
    arena.admitFrames(pfn + end * pages);
    let n = 0;
    for (; n < end; n++) {
      const index = first + n;
      // A leaf of several entries is written when there is room for all of them.
      if (step > 1) {
        if ((n & (step - 1)) === 0 && !this.#makeRoom(index, step, level, iovaPn + n * pages))
          break;
      } else {
        if (arena.bits[index] !== 0) break;
        if (level > 0 && !this.#clearContig(index, level, iovaPn + n * pages)) break;
      }
      if (level > 0) arena.child[index] = LEAF;
      arena.frame[index] = pfn + n * pages;
      arena.bits[index] = packed;
    }
    this.countLeaves(order, n / step);
    this.mapped += n * pages;
    return n < end ? -Errno.EADDRINUSE : 0;
  }

  /** Makes room for a leaf of several entries; false if one of them is a leaf, or leads to one. */
  #makeRoom(first: number, step: number, level: number, iovaPn: IovaPn): boolean {
    const { bits } = level === 0 ? this.pts : this.dirs;
    for (let i = 0; i < step; i++) if (bits[first + i] !== 0) return false;
    if (level === 0) return true;
    for (let i = 0; i < step; i++)
      if (!this.#clearContig(first + i, level, iovaPn + i * ENTRY_PAGES[level])) return false;
    return true;
  }

  /** Makes room for a large leaf: takes out a table without leaves; false if it has one. */
  #clearContig(index: number, level: number, iovaPn: IovaPn): boolean {
    const table = this.dirs.child[index];
    if (table === 0) return true;
    if (this.#hasLeaf(table, level - 1)) return false;
    this.collectTables(table, level - 1, this.#replaced.freelist);
    this.dirs.child[index] = 0;
    this.#replaced.addRange(iovaPn, ENTRY_PAGES[level]);
    return true;
  }

  /** Whether a table, or one below it, holds a leaf. */
  #hasLeaf(table: number, level: number): boolean {
    const { bits } = level === 0 ? this.pts : this.dirs;
    for (let index = table * PTRS_PER_TABLE; index < (table + 1) * PTRS_PER_TABLE; index++) {
      if (bits[index] !== 0) return true;
      if (level > 0 && this.dirs.child[index] > 0) {
        if (this.#hasLeaf(this.dirs.child[index], level - 1)) return true;
      }
    }
    return false;
  }

  /**
   * Clears the leaves of a table in [start, last] until an absent entry, or a leaf that begins
   * before `start`; returns whether it reached the end (__unmap_range).
   */
  #unmap(table: number, level: number, start: IovaPn, last: IovaPn, freelist: number[]): boolean {
    const pages = ENTRY_PAGES[level];
    const tableStart = Math.floor(start / TABLE_PAGES[level]) * TABLE_PAGES[level];
    const from = Math.floor((start - tableStart) / pages);
    const to = Math.min(PTRS_PER_TABLE - 1, Math.floor((last - tableStart) / pages));
    if (level === 0) return this.#unmapLastLevel(table * PTRS_PER_TABLE + from, to - from + 1);
    const { child, bits, frame } = this.dirs;
    for (let slot = from; slot <= to; slot++) {
      const entry = table * PTRS_PER_TABLE + slot;
      const below = child[entry];
      const entryStart = tableStart + slot * pages;
      if (below === 0) return false;
      if (below === LEAF) {
        const step = 1 << (bits[entry] >>> COPIES_SHIFT);
        if (start > entryStart || (slot & (step - 1)) !== 0) return false;
        clearEntries(bits, frame, entry, entry + step);
        child.fill(0, entry, entry + step);
        this.#unmapped += pages * step;
        slot += step - 1;
        continue;
      }
      const entryLast = entryStart + pages - 1;
      const covered = start <= entryStart && last >= entryLast;
      const [at, end] = [Math.max(start, entryStart), Math.min(last, entryLast)];
      if (!this.#unmap(below, level - 1, at, end, freelist)) return false;
      if (!covered) continue;
      freelist.push(level === 1 ? -below : below);
      child[entry] = 0;
    }
    return true;
  }

  /** The same for a last-level table: `n` entries from `first` on, all of one page. */
  #unmapLastLevel(first: number, n: number): boolean {
    const { bits, frame } = this.pts;
    if ((first & ((1 << (bits[first] >>> COPIES_SHIFT)) - 1)) !== 0) return false;
    let end = first;
    while (end < first + n && bits[end] !== 0) end++;
    // A leaf goes whole, also if the range ends inside.
    if (end > first) end = ((end - 1) | ((1 << (bits[end - 1] >>> COPIES_SHIFT)) - 1)) + 1;
    clearEntries(bits, frame, first, end);
    this.#unmapped += end - first;
    return end >= first + n;
  }
}
