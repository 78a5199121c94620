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
  pagesOf,
  PTRS_PER_TABLE,
  Slot,
  TableArena,
  type Counters,
  type IovaPn,
  type PageNumbers,
  type Pfn,
} from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import {
  IOMMU,
  type IoLeaf,
  type IoPageTable,
  type IoPageTableFormat,
  type IoPageTableOptions,
  type PhysRun,
} from './format.ts';
import { walk1g, walk2m, walkPages } from './four-level-walk.ts';

/** Pages of one entry per level. */
const ENTRY_PAGES = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36] as const;
const LEAF_SLOTS = [Slot.iommuLeaves4k, Slot.iommuLeaves2m, Slot.iommuLeaves1g] as const;
const LOW_MASK = 2 ** 18 - 1;

/** Index of a page's entry in a table of a level. */
function slotOf(iovaPn: IovaPn, level: number): number {
  return level < 3
    ? ((iovaPn & (2 ** 27 - 1)) >>> (9 * level)) & 511
    : Math.floor(iovaPn / ENTRY_PAGES[level]) & 511;
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
  /** The root as a four-level walk needs it: of a three-level table, a directory above it. */
  readonly #walkRoot: number;

  constructor(options: IoPageTableOptions, counters: Counters) {
    const levels = (options.addressWidth - 12) / 9;
    if (levels !== 3 && levels !== 4 && levels !== 5) {
      throw new InputError(
        'IOMMU address width',
        '39, 48 or 57 bits',
        String(options.addressWidth),
      );
    }
    this.#counters = counters;
    this.#top = levels - 1;
    this.aperturePages = 2 ** (options.addressWidth - 12);
    this.pageOrders = [0, 9, 18].filter(
      (order) => order === 0 || options.superpageOrders.includes(order),
    );
    this.#maxLeafLevel = this.pageOrders.includes(9) ? (this.pageOrders.includes(18) ? 2 : 1) : 0;
    this.#root = this.#dirs.alloc();
    this.#walkRoot = levels === 3 ? this.#dirs.alloc() : this.#root;
    if (levels === 3) this.#dirs.child[this.#walkRoot * PTRS_PER_TABLE] = this.#root;
  }

  get tablePages(): number {
    return this.#dirs.live + this.#pts.live - (this.#walkRoot === this.#root ? 0 : 1);
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    const npage = count * pagesOf(order);
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
    if (iovaPn >= this.aperturePages) return 0;
    const npage = Math.max(count * pagesOf(order), ENTRY_PAGES[this.#levelAt(iovaPn)]);
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
    let walks = 0;
    let levels = 0;
    while (out.npage > 0 && out.npage < npage) {
      const at = iovaPn + out.npage;
      // The tight loop takes what has leaves of one size; a walk of any kind decides at its end.
      const level = at < this.aperturePages ? this.#levelAt(at) : this.#top + 1;
      const run = this.#consecutive(at, npage - out.npage, first + out.npage, level);
      walks += run > 0 ? run : 1;
      levels += (run > 0 ? run : 1) * (this.#top - level + 1);
      out.npage += run;
      if (run === 0) break;
    }
    this.#counters.add(Slot.iovaToPhysCalls, walks);
    this.#counters.add(Slot.iovaToPhysLevels, levels);
  }

  /**
   * One walk from the root per page while it ends at a leaf of the given level that translates to
   * `expected`, `expected + 1`, and so on; returns how many did.
   */
  #consecutive(iovaPn: IovaPn, npage: number, expected: Pfn, level: number): number {
    const { child, frame } = this.#dirs;
    const root = this.#rootFor(iovaPn) << 9;
    // The loops keep to 32-bit integers, so a long run comes in pieces.
    const end = Math.min(npage, 2 ** 27 - (iovaPn & (2 ** 27 - 1))) | 0;
    const high = iovaPn < this.aperturePages ? ((iovaPn / 2 ** 18) | 0) & LOW_MASK : 0;
    const low = iovaPn & LOW_MASK;
    if (level === 0) return walkPages(child, this.#pts.frame, root, high, low, end, expected);
    if (level === 1) return walk2m(child, frame, root, high, low, end, expected);
    return level === 2 ? walk1g(child, frame, root, high, low, end, expected) : 0;
  }

  /** The table with which the four-level walks begin. */
  #rootFor(iovaPn: IovaPn): number {
    if (this.#top === 4) return this.#dirs.child[(this.#root << 9) + slotOf(iovaPn, 4)];
    return this.#walkRoot;
  }

  *leaves(): Generator<IoLeaf, void> {
    yield* this.#leavesOf(this.#root, this.#top, 0);
  }

  *#leavesOf(table: number, level: number, iovaPn: IovaPn): Generator<IoLeaf, void> {
    const arena = level === 0 ? this.#pts : this.#dirs;
    for (let slot = 0; slot < PTRS_PER_TABLE; slot++) {
      const index = table * PTRS_PER_TABLE + slot;
      const at = iovaPn + slot * ENTRY_PAGES[level];
      if (level > 0 && this.#dirs.child[index] > 0)
        yield* this.#leavesOf(this.#dirs.child[index], level - 1, at);
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
    arena.admitFrames(pfn + n * pages);
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
      if (next === LEAF)
        throw new KernelBug('pfn_to_dma_pte', `iova page ${iovaPn} lies under a superpage`);
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
      clearEntries(this.#pts.bits, this.#pts.frame, index + from, index + to + 1);
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
        this.#clear(
          below,
          level - 1,
          Math.max(start, entryStart),
          Math.min(last, entryLast),
          gather,
        );
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

/** Clears last-level entries; for a few of them a loop beats the built-in fill. */
function clearEntries(bits: Uint8Array, frame: PageNumbers, from: number, to: number): void {
  if (to - from > 64) {
    bits.fill(0, from, to);
    frame.fill(0, from, to);
    return;
  }
  for (let i = from; i < to; i++) {
    bits[i] = 0;
    frame[i] = 0;
  }
}

/** The format's entry in the registry. */
export const vtdSecondLevel: IoPageTableFormat = {
  name: 'vtd-second-level',
  summary: 'VT-d second-level tables, 4K, 2M and 1G leaves, code of the Intel driver up to 6.18',
  create: (options, counters) => new VtdSecondLevel(options, counters),
};
