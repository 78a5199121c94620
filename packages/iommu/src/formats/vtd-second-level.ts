/**
 * VT-d second-level tables as the Intel driver kept them up to 6.18: 512-entry tables, leaves of
 * 4 KiB, 2 MiB and 1 GiB, present if readable or writable.
 *
 * - Mapping chooses leaf sizes by itself. A superpage over an entry that still points to a
 *   left-over table frees the tables below and flushes the IOTLB from there to the end of the body.
 * - Unmapping raises the size to that of the leaf, or of the absent entry, at the start; it clears
 *   what lies in the range and frees the tables that the range covers. It always reports the full
 *   size, holes included.
 * - The gather takes whole pieces: one of another size, or not touching, syncs first.
 *
 * Levels are numbered from the leaf side: 0 PT, 1 PD, 2 PDPT, 3 PML4, 4 PML5.
 *
 * @source drivers/iommu/intel/iommu.c, 6.16; reference iommu.md §5, §7.1, §14.1, §14.2
 */
import {
  Errno,
  InputError,
  KernelBug,
  LEAF,
  PTRS_PER_TABLE,
  Slot,
  TableArena,
  type Counters,
  type IovaPn,
  type Pfn,
} from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import { IOMMU, type IoLeaf, type IoPageTable, type IoPageTableFormat, type IoPageTableOptions, type PhysRun } from './format.ts';

/** Pages of one entry per level. */
const ENTRY_PAGES = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36] as const;
const LEAF_SLOTS = [Slot.iommuLeaves4k, Slot.iommuLeaves2m, Slot.iommuLeaves1g] as const;
const LOW_MASK = 2 ** 18 - 1;

/** Index of a page's entry in a table of a level. */
function slotOf(iovaPn: IovaPn, level: number): number {
  return level < 3 ? ((iovaPn & (2 ** 27 - 1)) >>> (9 * level)) & 511 : Math.floor(iovaPn / ENTRY_PAGES[level]) & 511;
}

class VtdSecondLevel implements IoPageTable {
  readonly pageOrders: readonly number[];
  readonly aperturePages: number;
  mapped = 0;
  readonly #counters: Counters;
  readonly #top: number;
  readonly #maxLeafLevel: number;
  readonly #dirs = new TableArena(true);
  readonly #pts = new TableArena(false);
  readonly #root: number;

  constructor(options: IoPageTableOptions, counters: Counters) {
    const levels = (options.addressWidth - 12) / 9;
    if (levels !== 3 && levels !== 4 && levels !== 5) {
      throw new InputError('IOMMU address width', '39, 48 or 57 bits', String(options.addressWidth));
    }
    this.#counters = counters;
    this.#top = levels - 1;
    this.aperturePages = 2 ** (options.addressWidth - 12);
    this.pageOrders = [0, 9, 18].filter((order) => order === 0 || options.superpageOrders.includes(order));
    this.#maxLeafLevel = this.pageOrders.includes(9) ? (this.pageOrders.includes(18) ? 2 : 1) : 0;
    this.#root = this.#dirs.alloc();
  }

  get tablePages(): number {
    return this.#dirs.live + this.#pts.live;
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    const npage = count * 2 ** order;
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    if (bits === 0 || iovaPn + npage > this.aperturePages) return -Errno.EINVAL;
    while (this.mapped < npage) {
      const at = iovaPn + this.mapped;
      const frame = pfn + this.mapped;
      const left = npage - this.mapped;
      const level = this.#leafLevel(at, frame, left);
      this.mapped += this.#mapInTable(at, frame, left, level, bits);
    }
    return 0;
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    const npage = Math.max(count * 2 ** order, ENTRY_PAGES[this.#levelAt(iovaPn)]);
    this.#clear(this.#root, this.#top, iovaPn, iovaPn + npage - 1, gather);
    if (gather.mustSyncBefore(iovaPn, npage)) {
      this.#counters.add(Slot.iotlbGatherSyncs, 1);
      this.iotlbSync(gather);
    }
    gather.add(iovaPn, npage);
    return npage;
  }

  iotlbSync(gather: IotlbGather): void {
    this.#counters.add(Slot.cacheTagFlushes, 1);
    this.#counters.add(Slot.iommuTableFrees, gather.freelist.length);
    for (const table of gather.freelist) this.#free(table);
    gather.freelist.length = 0;
    gather.reset();
  }

  iovaToPhys(iovaPn: IovaPn): Pfn {
    const counters = this.#counters;
    counters.add(Slot.iovaToPhysCalls, 1);
    if (iovaPn >= this.aperturePages) return 0;
    let table = this.#root;
    let level = this.#top;
    for (; level > 0; level--) {
      const index = table * PTRS_PER_TABLE + slotOf(iovaPn, level);
      const child = this.#dirs.child[index];
      if (child > 0) {
        table = child;
        continue;
      }
      counters.add(Slot.iovaToPhysLevels, this.#top - level + 1);
      return child === LEAF ? this.#dirs.frame[index] + (iovaPn & (ENTRY_PAGES[level] - 1)) : 0;
    }
    counters.add(Slot.iovaToPhysLevels, this.#top + 1);
    return this.#pts.frame[table * PTRS_PER_TABLE + (iovaPn & 511)];
  }

  iovaToPhysRun(iovaPn: IovaPn, npage: number, out: PhysRun): void {
    const first = this.iovaToPhys(iovaPn);
    out.pfn = first;
    out.npage = first === 0 ? 0 : 1;
    while (out.npage > 0 && out.npage < npage) {
      // The inner loop keeps to 32-bit integers, so it takes a long run in pieces.
      const piece = Math.min(npage - out.npage, 2 ** 30);
      const run = this.#consecutive(iovaPn + out.npage, piece, first + out.npage);
      out.npage += run;
      if (run < piece) break;
    }
  }

  /**
   * One walk from the root per page while the translations are `expected`, `expected + 1`, and so
   * on; returns how many were. A failing walk is counted too.
   */
  #consecutive(iovaPn: IovaPn, npage: number, expected: Pfn): number {
    const { child, frame } = this.#dirs;
    const pages = this.#pts.frame;
    const top = this.#top;
    const root = this.#root << 9;
    const end = Math.min(npage, this.aperturePages - iovaPn) | 0;
    const high = (iovaPn / 2 ** 18) | 0;
    const low = iovaPn & LOW_MASK;
    let levels = 0;
    let n = 0;
    for (; n < end; n++) {
      const at = low + n;
      const upper = high + (at >>> 18);
      let index = root;
      if (top === 4) index = child[index + (upper >>> 18)] << 9;
      if (top >= 3) index = child[index + ((upper >>> 9) & 511)] << 9;
      // An absent directory leads to table 0, whose entries are all absent: every walk may go on.
      index += upper & 511;
      let next = child[index];
      if (next < 0) {
        levels += top - 1;
        if (frame[index] + ((at & LOW_MASK) - n) !== expected) break;
        continue;
      }
      index = (next << 9) + ((at >>> 9) & 511);
      next = child[index];
      if (next < 0) {
        levels += top;
        if (frame[index] + ((at & 511) - n) !== expected) break;
        continue;
      }
      levels += top + 1;
      if (pages[(next << 9) + (at & 511)] !== expected + n) {
        if (pages[(next << 9) + (at & 511)] === 0) levels -= this.#levelAt(iovaPn + n);
        break;
      }
    }
    this.#counters.add(Slot.iovaToPhysCalls, n < npage ? n + 1 : n);
    this.#counters.add(Slot.iovaToPhysLevels, levels);
    return n;
  }

  *leaves(): Generator<IoLeaf, void> {
    yield* this.#leavesOf(this.#root, this.#top, 0);
  }

  *#leavesOf(table: number, level: number, iovaPn: IovaPn): Generator<IoLeaf, void> {
    const arena = level === 0 ? this.#pts : this.#dirs;
    for (let slot = 0; slot < PTRS_PER_TABLE; slot++) {
      const index = table * PTRS_PER_TABLE + slot;
      const at = iovaPn + slot * ENTRY_PAGES[level];
      if (level > 0 && this.#dirs.child[index] > 0) yield* this.#leavesOf(this.#dirs.child[index], level - 1, at);
      else if (arena.bits[index] !== 0) {
        yield { iovaPn: at, pfn: arena.frame[index], order: 9 * level, prot: arena.bits[index] };
      }
    }
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
    const slot = slotOf(iovaPn, level);
    const superpages = Math.floor(npage / pages);
    const n = Math.min(PTRS_PER_TABLE - slot, superpages);
    const arena = level === 0 ? this.#pts : this.#dirs;
    const first = this.#tableAt(iovaPn, level) * PTRS_PER_TABLE + slot;
    if (level > 0) this.#switchToSuperPage(first, n, level);
    for (let i = 0; i < n; i++) {
      const index = first + i;
      // A present entry stays as it is: the driver complains and reports success.
      if (arena.bits[index] !== 0) continue;
      if (level > 0) arena.child[index] = LEAF;
      arena.frame[index] = pfn + i * pages;
      arena.bits[index] = bits;
    }
    this.#counters.add(LEAF_SLOTS[level], n);
    return n * pages;
  }

  /** Frees the tables that superpages replace; each costs one range flush. */
  #switchToSuperPage(first: number, n: number, level: number): void {
    const freed: number[] = [];
    for (let index = first; index < first + n; index++) {
      const table = this.#dirs.child[index];
      if (table <= 0) continue;
      this.#collectTables(table, level - 1, freed);
      this.#dirs.child[index] = 0;
      this.#counters.add(Slot.cacheTagFlushes, 1);
    }
    this.#counters.add(Slot.iommuTableFrees, freed.length);
    for (const table of freed) this.#free(table);
  }

  #tableAt(iovaPn: IovaPn, level: number): number {
    let table = this.#root;
    for (let above = this.#top; above > level; above--) {
      const index = table * PTRS_PER_TABLE + slotOf(iovaPn, above);
      let next = this.#dirs.child[index];
      if (next === LEAF) throw new KernelBug('pfn_to_dma_pte', `iova page ${iovaPn} lies under a superpage`);
      if (next === 0) {
        next = above === 1 ? this.#pts.alloc() : this.#dirs.alloc();
        this.#dirs.child[index] = next;
        this.#counters.add(Slot.iommuTableAllocs, 1);
      }
      table = next;
    }
    return table;
  }

  /** Level of the leaf, or of the absent entry, that a walk ends at. */
  #levelAt(iovaPn: IovaPn): number {
    let table = this.#root;
    for (let level = this.#top; level > 0; level--) {
      table = this.#dirs.child[table * PTRS_PER_TABLE + slotOf(iovaPn, level)];
      if (table <= 0) return level;
    }
    return 0;
  }

  /** Clears the entries of a table that lie in [start, last], and gathers the tables it covers. */
  #clear(table: number, level: number, start: IovaPn, last: IovaPn, gather: IotlbGather): void {
    const pages = ENTRY_PAGES[level];
    const tableStart = Math.floor(start / (pages * PTRS_PER_TABLE)) * pages * PTRS_PER_TABLE;
    const from = slotOf(start, level);
    const to = Math.min(PTRS_PER_TABLE - 1, Math.floor((last - tableStart) / pages));
    const index = table * PTRS_PER_TABLE;
    if (level === 0) {
      this.#pts.bits.fill(0, index + from, index + to + 1);
      this.#pts.frame.fill(0, index + from, index + to + 1);
      return;
    }
    const { child, bits, frame } = this.#dirs;
    for (let slot = from; slot <= to; slot++) {
      const entry = index + slot;
      const below = child[entry];
      if (below === 0) continue;
      const entryStart = tableStart + slot * pages;
      const entryLast = entryStart + pages - 1;
      if (start <= entryStart && last >= entryLast) {
        if (below > 0) this.#collectTables(below, level - 1, gather.freelist);
        child[entry] = 0;
        bits[entry] = 0;
        frame[entry] = 0;
      } else if (below > 0) {
        this.#clear(below, level - 1, Math.max(start, entryStart), Math.min(last, entryLast), gather);
      }
    }
  }

  /** Lists a table and all tables below it; last-level tables are listed as negative numbers. */
  #collectTables(table: number, level: number, into: number[]): void {
    into.push(level === 0 ? -table : table);
    if (level === 0) return;
    for (let slot = 0; slot < PTRS_PER_TABLE; slot++) {
      const below = this.#dirs.child[table * PTRS_PER_TABLE + slot];
      if (below > 0) this.#collectTables(below, level - 1, into);
    }
  }

  #free(table: number): void {
    if (table < 0) this.#pts.free(-table);
    else this.#dirs.free(table);
  }
}

/** The format's entry in the registry. */
export const vtdSecondLevel: IoPageTableFormat = {
  name: 'vtd-second-level',
  summary: 'VT-d second-level tables, 4K, 2M and 1G leaves, code of the Intel driver up to 6.18',
  create: (options, counters) => new VtdSecondLevel(options, counters),
};
