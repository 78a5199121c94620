/**
 * VT-d second-stage tables as the generic page table code keeps them.
 *
 * - It is given whole ranges, and chooses the leaf size at every step itself. An entry that is
 *   present ends the map. A large leaf over left-over tables that are empty frees them; all that
 *   one map replaces is flushed once, at its end.
 * - Unmapping takes a large leaf whole if the range reaches its start, refuses to begin inside one,
 *   and ends at an absent entry; what it reports is what it cleared. Tables that the range covers
 *   are freed with the next sync.
 * - The gather only grows: neither a gap nor another size syncs.
 *
 * @source drivers/iommu/generic_pt/iommu_pt.h, drivers/iommu/generic_pt/fmt/vtdss.h, 7.2; reference
 * iommu.md §3 to §5, §14.4
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
import { IOMMU, type IoPageTable, type IoPageTableFormat } from './format.ts';
import { clearEntries, ENTRY_PAGES, LEAF_SLOTS, TABLE_PAGES, VtdTables } from './vtd-tables.ts';

/** End of the output addresses in pages: entries hold 52 address bits. */
const OUTPUT_PAGES = 2 ** 40;

class GenericPtVtdSs extends VtdTables implements IoPageTable {
  readonly isIommupt = true;
  readonly #pgsize = new Pgsize();
  /** What the map under way has replaced; empty between maps. */
  readonly #replaced = new IotlbGather();
  /** Pages that the unmap under way has cleared. */
  #unmapped = 0;

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    const npage = count * pagesOf(order);
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    if (bits === 0 || npage === 0) return -Errno.EINVAL;
    if (pfn >= OUTPUT_PAGES || iovaPn + npage > this.aperturePages) return -Errno.ERANGE;
    let error = 0;
    while (this.mapped < npage && error === 0) {
      const at = iovaPn + this.mapped;
      iommuPgsize(this.pageOrders, at, pfn + this.mapped, npage - this.mapped, this.#pgsize);
      const level = this.#pgsize.order / 9;
      error = this.#mapInTable(at, pfn + this.mapped, this.#pgsize.count, level, bits);
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
    this.#unmap(this.root, this.top, iovaPn, iovaPn + npage - 1, gather.freelist);
    gather.addRange(iovaPn, this.#unmapped);
    return this.#unmapped;
  }

  /**
   * Writes at most `count` leaves of one level, up to the end of their table; returns 0, or
   * -EADDRINUSE at an entry that is present. `mapped` grows by what was written.
   */
  #mapInTable(iovaPn: IovaPn, pfn: Pfn, count: number, level: number, bits: number): number {
    const pages = ENTRY_PAGES[level];
    const arena = level === 0 ? this.pts : this.dirs;
    const first = this.entryAt(iovaPn, level);
    if (first === LEAF) return -Errno.EADDRINUSE;
    const end = Math.min(PTRS_PER_TABLE - (first & 511), count);
    arena.admitFrames(pfn + end * pages);
    let n = 0;
    for (; n < end; n++) {
      const index = first + n;
      if (arena.bits[index] !== 0) break;
      if (level > 0) {
        if (!this.#clearContig(index, level, iovaPn + n * pages)) break;
        arena.child[index] = LEAF;
      }
      arena.frame[index] = pfn + n * pages;
      arena.bits[index] = bits;
    }
    this.counters.add(LEAF_SLOTS[level], n);
    this.mapped += n * pages;
    return n < end ? -Errno.EADDRINUSE : 0;
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
        if (start > entryStart) return false;
        bits[entry] = 0;
        frame[entry] = 0;
        this.#unmapped += pages;
      } else {
        const entryLast = entryStart + pages - 1;
        const covered = start <= entryStart && last >= entryLast;
        const [at, end] = [Math.max(start, entryStart), Math.min(last, entryLast)];
        if (!this.#unmap(below, level - 1, at, end, freelist)) return false;
        if (!covered) continue;
        freelist.push(level === 1 ? -below : below);
      }
      child[entry] = 0;
    }
    return true;
  }

  /** The same for a last-level table: `n` entries from `first` on, all of one page. */
  #unmapLastLevel(first: number, n: number): boolean {
    const { bits, frame } = this.pts;
    let end = first;
    while (end < first + n && bits[end] !== 0) end++;
    clearEntries(bits, frame, first, end);
    this.#unmapped += end - first;
    return end === first + n;
  }
}

/** The format's entry in the registry. */
export const genericPtVtdSs: IoPageTableFormat = {
  name: 'generic-pt-vtd-ss',
  summary: 'VT-d second-stage tables, 4K, 2M and 1G leaves, generic page table code of 7.2',
  create: (options, counters) => new GenericPtVtdSs(options, counters),
};
