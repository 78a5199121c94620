/**
 * VT-d second-level tables as the Intel driver kept them up to 6.18.
 *
 * - Mapping chooses leaf sizes by itself. A superpage over an entry that still points to a
 *   left-over table frees the tables below and flushes the IOTLB from there to the end of the body.
 * - Unmapping raises the size to that of the leaf, or of the absent entry, at the start; it clears
 *   what lies in the range and frees the tables that the range covers. It always reports the full
 *   size, holes included.
 * - The gather takes whole pieces: one of another size, or not touching, syncs first.
 * - In 6.12 every leaf is readable, because the driver sets the first level's present bit in
 *   entries of either level, and in the second level that bit is READ.
 *
 * @source drivers/iommu/intel/iommu.c, 6.12 and 6.16; reference iommu.md §5, §7.1, §14.1, §14.2;
 * recordings README-extpin, "Emulated groups only" (a map above the width)
 */
import {
  Errno,
  KernelBug,
  LEAF,
  pagesOf,
  PTRS_PER_TABLE,
  Slot,
  type Counters,
  type Extents,
  type IovaPn,
  type Pfn,
} from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import {
  IOMMU,
  type DriverFunctions,
  type IoPageTable,
  type IoPageTableFormat,
  type IoPageTableOptions,
} from './format.ts';
import {
  clearEntries,
  ENTRY_PAGES,
  RadixTables,
  TABLE_PAGES,
  type RadixShape,
} from './radix-tables.ts';
import { cacheTagFlushRange, intelTlbSync, vtdShape } from './vtd-tables.ts';

const INTEL: DriverFunctions = {
  map: ['intel_iommu_map_pages'],
  unmap: ['intel_iommu_unmap_pages'],
};

/** The tables of a domain. */
export class VtdSecondLevel extends RadixTables implements IoPageTable {
  /** What its driver's functions are called. */
  readonly traced: DriverFunctions = INTEL;
  readonly #maxLeafLevel: number;
  /** Access bits that every leaf gets, whatever was asked for. */
  readonly #always: number;

  constructor(
    options: IoPageTableOptions,
    counters: Counters,
    always: number,
    shape: RadixShape = vtdShape(options),
  ) {
    super(shape, counters);
    const { superpageOrders } = options;
    this.#maxLeafLevel = superpageOrders.includes(9) ? (superpageOrders.includes(18) ? 2 : 1) : 0;
    this.#always = always;
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    const npage = count * pagesOf(order);
    const asked = prot & (IOMMU.READ | IOMMU.WRITE);
    if (iovaPn + npage > this.aperturePages) return -Errno.EFAULT;
    if (asked === 0) return -Errno.EINVAL;
    const bits = asked | this.#always;
    while (this.mapped < npage) {
      const at = iovaPn + this.mapped;
      const frame = pfn + this.mapped;
      const left = npage - this.mapped;
      const level = this.#leafLevel(at, frame, left);
      this.mapped += this.#mapInTable(at, frame, left, level, bits);
    }
    return 0;
  }

  mapLeaves(iovaPn: IovaPn, extents: Extents, from: number, to: number, prot: number): number {
    const asked = prot & (IOMMU.READ | IOMMU.WRITE);
    if (asked === 0) return 0;
    return this.mapWholeLeaves(iovaPn, extents, from, to, asked | this.#always);
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    if (iovaPn >= this.aperturePages) return 0;
    const npage = Math.max(count * pagesOf(order), ENTRY_PAGES[this.levelAt(iovaPn)]);
    this.clear(this.root, this.top, iovaPn, iovaPn + npage - 1, gather);
    if (gather.mustSyncBefore(iovaPn, npage)) {
      this.counters.add(Slot.iotlbGatherSyncs, 1);
      this.iotlbSync(gather);
    }
    gather.add(iovaPn, npage);
    return npage;
  }

  iotlbSync(gather: IotlbGather): void {
    intelTlbSync(gather, this.counters);
    this.freeGathered(gather);
  }

  /** The largest level whose leaf fits alignment and length (hardware_largepage_caps). */
  #leafLevel(iovaPn: IovaPn, pfn: Pfn, npage: number): number {
    let level = 0;
    while (level < this.#maxLeafLevel) {
      const pages = ENTRY_PAGES[level + 1];
      if (npage < pages || (iovaPn & (pages - 1)) !== 0 || (pfn & (pages - 1)) !== 0) break;
      level++;
    }
    return level;
  }

  /** Writes leaves of one level up to the end of their table; returns the pages mapped. */
  #mapInTable(iovaPn: IovaPn, pfn: Pfn, npage: number, level: number, bits: number): number {
    const pages = ENTRY_PAGES[level];
    const arena = level === 0 ? this.pts : this.dirs;
    const first = this.entryAt(iovaPn, level);
    if (first === LEAF)
      throw new KernelBug('pfn_to_dma_pte', `iova page ${iovaPn} lies under a superpage`);
    const n = Math.min(PTRS_PER_TABLE - (first & 511), Math.floor(npage / pages));
    arena.admitFrames(pfn + n * pages);
    const last = iovaPn + Math.min(npage, (PTRS_PER_TABLE - (first & 511)) * pages) - 1;
    if (level > 0) this.#switchToSuperPage(first, n, level, iovaPn, last);
    for (let i = 0; i < n; i++) {
      const index = first + i;
      // A present entry stays as it is: the driver complains and reports success.
      if (arena.bits[index] !== 0) continue;
      if (level > 0) arena.child[index] = LEAF;
      arena.frame[index] = pfn + i * pages;
      arena.bits[index] = bits;
    }
    this.countLeaves(9 * level, n);
    return n * pages;
  }

  /** Frees the tables that superpages replace; each costs a flush from there to the `last` page. */
  #switchToSuperPage(first: number, n: number, level: number, iovaPn: IovaPn, last: IovaPn): void {
    const freed: number[] = [];
    for (let index = first; index < first + n; index++) {
      const table = this.dirs.child[index];
      if (table <= 0) continue;
      this.collectTables(table, level - 1, freed);
      this.dirs.child[index] = 0;
      const from = iovaPn + (index - first) * ENTRY_PAGES[level];
      cacheTagFlushRange(from, last, 0, this.counters);
    }
    this.freeTables(freed);
  }

  /** Clears the entries of a table that lie in [start, last], and gathers the tables it covers. */
  protected clear(
    table: number,
    level: number,
    start: IovaPn,
    last: IovaPn,
    gather: IotlbGather,
  ): void {
    const pages = ENTRY_PAGES[level];
    const tableStart = Math.floor(start / TABLE_PAGES[level]) * TABLE_PAGES[level];
    const from = Math.floor((start - tableStart) / pages);
    const to = Math.min(PTRS_PER_TABLE - 1, Math.floor((last - tableStart) / pages));
    const index = table * PTRS_PER_TABLE;
    if (level === 0) {
      clearEntries(this.pts.bits, this.pts.frame, index + from, index + to + 1);
      return;
    }
    const { child, bits, frame } = this.dirs;
    for (let slot = from; slot <= to; slot++) {
      const entry = index + slot;
      const below = child[entry];
      if (below === 0) continue;
      const entryStart = tableStart + slot * pages;
      const entryLast = entryStart + pages - 1;
      if (start <= entryStart && last >= entryLast) {
        if (below > 0) this.collectTables(below, level - 1, gather.freelist);
        child[entry] = 0;
        bits[entry] = 0;
        frame[entry] = 0;
      } else if (below > 0) {
        this.clear(
          below,
          level - 1,
          Math.max(start, entryStart),
          Math.min(last, entryLast),
          gather,
        );
      }
    }
  }
}

/** The format's entry in the registry. */
export const vtdSecondLevel: IoPageTableFormat = {
  name: 'vtd-second-level',
  summary: 'VT-d second-level tables, 4K, 2M and 1G leaves, code of the Intel driver up to 6.18',
  create: (options, counters) => new VtdSecondLevel(options, counters, 0),
};

/** The same code as of 6.12, where a leaf is readable even if only WRITE was asked for. */
export const vtdSecondLevel612: IoPageTableFormat = {
  name: 'vtd-second-level-6-12',
  summary: 'VT-d second-level tables, code of the Intel driver of 6.12: every leaf is readable',
  create: (options, counters) => new VtdSecondLevel(options, counters, IOMMU.READ),
};
