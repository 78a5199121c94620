/**
 * Tables of 512 entries as the hardware of VT-d, AMD and SMMUv3 walks them: three to six levels,
 * leaves at every level that the format has, copies of one leaf in several entries. What every code
 * that maintains such tables shares is here: the storage, the walks, iova_to_phys and the contiguous
 * scan. A format adds how it maps and unmaps.
 *
 * Levels are numbered from the leaf side: 0 has entries of one page. An entry keeps the frame of its
 * own first page, also where several entries are one leaf; `bits` holds {@link IOMMU} access bits,
 * and above {@link COPIES_SHIFT} the log2 of the entries that the leaf takes.
 *
 * @source Intel VT-d specification, second-stage translation; AMD IOMMU specification, host page
 * tables; drivers/iommu/intel/iommu.c intel_iommu_iova_to_phys, 6.16; reference iommu.md §6, §7
 */
import {
  LEAF,
  offsetIn,
  pagesOf,
  PTRS_PER_TABLE,
  Slot,
  TableArena,
  type Counters,
  type Extents,
  type IovaPn,
  type PageNumbers,
  type Pfn,
} from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import { LeafRun, type IoLeaf, type PhysRun } from './format.ts';
import { walk1g, walk2m, walkPages } from './four-level-walk.ts';
import { writeLeaves } from './write-leaves.ts';

/** Pages of one entry, per level. */
export const ENTRY_PAGES: readonly number[] = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36, 2 ** 45];
/** Pages of a whole table, per level. */
export const TABLE_PAGES: readonly number[] = ENTRY_PAGES.map((pages) => pages * PTRS_PER_TABLE);
/** Place of the log2 of a leaf's entries in the bits of an entry. */
export const COPIES_SHIFT = 2;
/** The {@link IOMMU} access bits in the bits of an entry. */
const ACCESS_BITS = 3;
const LOW_MASK = 2 ** 18 - 1;

/** Index of a page's entry in a table of a level. Not exported: that makes it slower in the walks. */
function slotOf(iovaPn: IovaPn, level: number): number {
  return level < 3
    ? ((iovaPn & (2 ** 27 - 1)) >>> (9 * level)) & 511
    : Math.floor(iovaPn / ENTRY_PAGES[level]) & 511;
}

/** Shape of the tables of a format. */
export interface RadixShape {
  /** Levels of an empty table: 3 to 6. */
  readonly levels: number;
  /** Length of the input address space in pages. */
  readonly aperturePages: number;
  /** Orders of the leaf sizes, ascending. */
  readonly pageOrders: readonly number[];
  /** Whether a tracer sees allocations of table pages; default false. */
  readonly tracesTables?: boolean;
}

/** The tables of one domain, and what only reads or frees them. */
export class RadixTables {
  /** Orders of the supported leaf sizes, ascending (pgsize_bitmap). */
  readonly pageOrders: readonly number[];
  /** Input address space in pages. */
  readonly aperturePages: number;
  /** Pages that the last map mapped, also when it failed half way. */
  mapped = 0;
  /** Whether a tracer sees allocations of table pages. */
  protected readonly tracesTables: boolean;
  /** Counters to add to. */
  protected readonly counters: Counters;
  /** Level of the root. */
  protected top: number;
  /** Pages that the root covers: from here on nothing is translated. */
  protected reach: number;
  /** Tables of level 1 and above. */
  protected readonly dirs: TableArena = new TableArena(true, 9);
  /** Tables of level 0. */
  protected readonly pts: TableArena = new TableArena(false, 9);
  /** The root, one of `dirs`. */
  protected root: number;
  /** The root as a four-level walk needs it: of a three-level table, a directory above it. */
  #walkRoot: number;

  /**
   * @param shape levels, input addresses and leaf sizes
   * @param counters counters to add to
   */
  constructor(shape: RadixShape, counters: Counters) {
    const { levels, aperturePages, pageOrders } = shape;
    this.counters = counters;
    this.tracesTables = shape.tracesTables ?? false;
    this.top = levels - 1;
    this.aperturePages = aperturePages;
    this.pageOrders = pageOrders;
    this.reach = Math.min(aperturePages, TABLE_PAGES[this.top]);
    this.root = this.dirs.alloc();
    this.#walkRoot = levels === 3 ? this.dirs.alloc() : this.root;
    if (levels === 3) this.dirs.child[this.#walkRoot * PTRS_PER_TABLE] = this.root;
  }

  /** Levels of the table. */
  get levels(): number {
    return this.top + 1;
  }

  /** Page-table pages in use, the root included. */
  get tablePages(): number {
    return this.dirs.live + this.pts.live - (this.top === 2 ? 1 : 0);
  }

  /**
   * Translates one page.
   *
   * @param iovaPn I/O virtual page
   * @returns its page frame, or 0 for no translation
   * @source drivers/iommu/intel/iommu.c intel_iommu_iova_to_phys, 6.16
   */
  iovaToPhys(iovaPn: IovaPn): Pfn {
    const counters = this.counters;
    counters.add(Slot.iovaToPhysCalls, 1);
    if (iovaPn >= this.reach) return 0;
    let table = this.root;
    let level = this.top;
    for (; level > 0; level--) {
      const index = table * PTRS_PER_TABLE + slotOf(iovaPn, level);
      const child = this.dirs.child[index];
      if (child > 0) {
        table = child;
        continue;
      }
      counters.add(Slot.iovaToPhysLevels, this.top - level + 1);
      return child === LEAF ? this.dirs.frame[index] + (iovaPn & (ENTRY_PAGES[level] - 1)) : 0;
    }
    counters.add(Slot.iovaToPhysLevels, this.top + 1);
    return this.pts.frame[table * PTRS_PER_TABLE + (iovaPn & 511)];
  }

  /**
   * Translates page after page while the frames are consecutive; see
   * {@link IoPageTable.iovaToPhysRun}.
   *
   * @param iovaPn first I/O virtual page
   * @param npage pages to look at, at least 1
   * @param out gets the run
   * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin (the scan), 6.16
   */
  iovaToPhysRun(iovaPn: IovaPn, npage: number, out: PhysRun, countsProbe = true): void {
    const first = this.iovaToPhys(iovaPn);
    out.pfn = first;
    out.npage = first === 0 ? 0 : 1;
    let walks = 0;
    let levels = 0;
    while (out.npage > 0 && out.npage < npage) {
      const at = iovaPn + out.npage;
      // The tight loop takes what has leaves of one size; a walk of any kind decides at its end.
      const level = at < this.reach ? this.levelAt(at) : this.top + 1;
      const run =
        level < 3
          ? this.#consecutive(at, npage - out.npage, first + out.npage, level)
          : this.#consecutiveHigh(at, npage - out.npage, first + out.npage, level);
      const counted = run > 0 || !countsProbe ? run : 1;
      walks += counted;
      levels += counted * (this.top - level + 1);
      out.npage += run;
      if (run === 0) break;
    }
    this.counters.add(Slot.iovaToPhysCalls, walks);
    this.counters.add(Slot.iovaToPhysLevels, levels);
  }

  /**
   * All leaves in address order.
   *
   * @returns one record per leaf
   */
  *leaves(): Generator<IoLeaf, void> {
    const run = new LeafRun();
    for (let from = 0; this.nextLeaves(from, run);) {
      const { iovaPn, pfn, order, prot, leaves } = run;
      for (let i = 0; i < leaves; i++) {
        const done = i * pagesOf(order);
        yield { iovaPn: iovaPn + done, pfn: pfn + done, order, prot };
      }
      from = iovaPn + leaves * pagesOf(order);
    }
  }

  /**
   * Finds the next leaves; see {@link IoPageTable.nextLeaves}.
   *
   * @param from the page, or the first one behind it, that leaves are wanted of
   * @param out gets the leaves
   * @param end looks for leaves that begin before this page, and may find one after it; default: all
   * @returns whether there are any
   */
  nextLeaves(from: IovaPn, out: LeafRun, end: IovaPn = this.reach): boolean {
    let table = this.root;
    let level = this.top;
    const last = Math.min(end, this.reach);
    for (let at = from; at < last;) {
      const first = table * PTRS_PER_TABLE;
      const slot = slotOf(at, level);
      const next = this.#nextEntry(first + slot, first + PTRS_PER_TABLE, level) - first;
      const entryPages = ENTRY_PAGES[level];
      if (next > slot) at += (next - slot) * entryPages - offsetIn(at, 9 * level);
      if (next === PTRS_PER_TABLE) {
        table = this.root;
        level = this.top;
        continue;
      }
      const below = level === 0 ? LEAF : this.dirs.child[first + next];
      if (below > 0) {
        table = below;
        level--;
        continue;
      }
      const copies = (level === 0 ? this.pts : this.dirs).bits[first + next] >>> COPIES_SHIFT;
      out.iovaPn = at - offsetIn(at, 9 * level + copies);
      // A leaf of several entries begins before the entry that was asked for.
      const begin = next & -(1 << copies);
      this.#readLeaves(level, first + begin, first + PTRS_PER_TABLE, out);
      return true;
    }
    return false;
  }

  /**
   * Maps extents of which each is one whole leaf, of one size and in one table.
   *
   * @param iovaPn first I/O virtual page
   * @param extents the extents
   * @param from index of the first
   * @param to index after the last
   * @param bits access bits of the leaves, not 0
   * @returns extents mapped; 0 if the first is no such one, or its entry is not absent
   */
  protected mapWholeLeaves(
    iovaPn: IovaPn,
    extents: Extents,
    from: number,
    to: number,
    bits: number,
  ): number {
    this.mapped = 0;
    const pages = Math.abs(extents.npage[from]);
    const level = ENTRY_PAGES.indexOf(pages);
    if (level < 0 || !this.pageOrders.includes(9 * level) || iovaPn >= this.reach) return 0;
    if (((iovaPn | extents.pfn[from]) & (pages - 1)) !== 0) return 0;
    const arena = level === 0 ? this.pts : this.dirs;
    const { live } = arena;
    const first = this.entryAt(iovaPn, level);
    if (first === LEAF) return 0;
    const end = Math.min(to, from + PTRS_PER_TABLE - (first & (PTRS_PER_TABLE - 1)));
    if (extents.pfn instanceof Float64Array && arena.frame instanceof Int32Array)
      arena.admitFrames(endOfFrames(extents, from, end));
    // A table that was made for the first leaf has no other entry.
    const isNew = arena.live > live;
    const n = writeLeaves(arena, first, isNew, extents, from, end, pages, bits);
    this.countLeaves(9 * level, n);
    this.mapped = n * pages;
    return n;
  }

  /**
   * Level of the leaf, or of the absent entry, that a walk ends at.
   *
   * @param iovaPn I/O virtual page inside the aperture
   * @returns 0 to the root's level
   */
  protected levelAt(iovaPn: IovaPn): number {
    let table = this.root;
    for (let level = this.top; level > 0; level--) {
      table = this.dirs.child[table * PTRS_PER_TABLE + slotOf(iovaPn, level)];
      if (table <= 0) return level;
    }
    return 0;
  }

  /**
   * A page's entry in the table of a level to which all tables are there.
   *
   * @param iovaPn I/O virtual page that the root covers
   * @param level level of the table wanted
   * @returns index of the entry in `dirs` or `pts`
   */
  protected entryOf(iovaPn: IovaPn, level: number): number {
    let table = this.root;
    for (let above = this.top; above > level; above--)
      table = this.dirs.child[table * PTRS_PER_TABLE + slotOf(iovaPn, above)];
    return table * PTRS_PER_TABLE + slotOf(iovaPn, level);
  }

  /**
   * A page's entry in the table of a level; tables that the way to it lacks are allocated.
   *
   * @param iovaPn I/O virtual page inside the aperture
   * @param level level of the table wanted
   * @returns index of the entry in `dirs` or `pts`, or {@link LEAF} if a larger leaf is in the way
   */
  protected entryAt(iovaPn: IovaPn, level: number): number {
    let table = this.root;
    for (let above = this.top; above > level; above--) {
      const index = table * PTRS_PER_TABLE + slotOf(iovaPn, above);
      let next = this.dirs.child[index];
      if (next === LEAF) return LEAF;
      if (next === 0) {
        next = this.allocTable(above - 1);
        this.dirs.child[index] = next;
      }
      table = next;
    }
    return table * PTRS_PER_TABLE + slotOf(iovaPn, level);
  }

  /**
   * Allocates a table.
   *
   * @param level its level
   * @returns its number in `dirs` or `pts`
   */
  protected allocTable(level: number): number {
    this.counters.add(Slot.iommuTableAllocs, 1);
    this.traceAlloc();
    return level === 0 ? this.pts.alloc() : this.dirs.alloc();
  }

  /** A tracer sees that a table page is allocated; of VT-d it is not traced. */
  protected traceAlloc(): void {
    const { tracer } = this.counters;
    if (tracer === null || !this.tracesTables) return;
    tracer.enter('iommu_alloc_pages_node_sz', 1);
    tracer.exit('iommu_alloc_pages_node_sz');
  }

  /** Puts a new root above the present one, which becomes its first entry. */
  protected addLevel(): void {
    const old = this.root;
    if (this.top === 2) {
      this.counters.add(Slot.iommuTableAllocs, 1);
      this.traceAlloc();
      this.root = this.#walkRoot;
    } else {
      this.root = this.allocTable(this.top + 1);
      this.dirs.child[this.root * PTRS_PER_TABLE] = old;
    }
    this.top++;
    this.reach = Math.min(this.aperturePages, TABLE_PAGES[this.top]);
  }

  /**
   * Counts leaves that were written.
   *
   * @param order log2 of the size of each in pages
   * @param n how many
   */
  protected countLeaves(order: number, n: number): void {
    this.counters.add(leafSlot(order), n);
  }

  /**
   * Lists a table and all tables below it, in the form that {@link freeTables} takes.
   *
   * @param table number of the table
   * @param level its level
   * @param into gets the tables; those of level 0 as negative numbers
   */
  protected collectTables(table: number, level: number, into: number[]): void {
    into.push(level === 0 ? -table : table);
    if (level === 0) return;
    for (let slot = 0; slot < PTRS_PER_TABLE; slot++) {
      const below = this.dirs.child[table * PTRS_PER_TABLE + slot];
      if (below > 0) this.collectTables(below, level - 1, into);
    }
  }

  /**
   * Frees tables.
   *
   * @param tables their numbers; those of level 0 negative
   */
  protected freeTables(tables: readonly number[]): void {
    this.counters.add(Slot.iommuTableFrees, tables.length);
    for (const table of tables) {
      if (table < 0) this.pts.free(-table);
      else this.dirs.free(table);
    }
  }

  /**
   * Frees the tables that waited for an invalidation, and forgets its range.
   *
   * @param gather what has been invalidated; empty afterwards
   */
  protected freeGathered(gather: IotlbGather): void {
    this.freeTables(gather.freelist);
    gather.freelist.length = 0;
    gather.reset();
  }

  /**
   * One walk from the root per page while it ends at a leaf of the given level that translates to
   * `expected`, `expected + 1`, and so on; returns how many did.
   */
  #consecutive(iovaPn: IovaPn, npage: number, expected: Pfn, level: number): number {
    const { child, frame } = this.dirs;
    const root = this.#rootFor(iovaPn) << 9;
    // The loops keep to 32-bit integers, so a long run comes in pieces.
    const end = Math.min(npage, 2 ** 27 - (iovaPn & (2 ** 27 - 1))) | 0;
    const high = iovaPn < this.reach ? ((iovaPn / 2 ** 18) | 0) & LOW_MASK : 0;
    const low = iovaPn & LOW_MASK;
    if (level === 0) return walkPages(child, this.pts.frame, root, high, low, end, expected);
    if (level === 1) return walk2m(child, frame, root, high, low, end, expected);
    return level === 2 ? walk1g(child, frame, root, high, low, end, expected) : 0;
  }

  /** The same for leaves above the third level: their pages lie in one entry, or the next ones. */
  #consecutiveHigh(iovaPn: IovaPn, npage: number, expected: Pfn, level: number): number {
    if (level > this.top) return 0;
    const index = this.entryOf(iovaPn, level);
    const offset = offsetIn(iovaPn, 9 * level);
    if (this.dirs.child[index] !== LEAF || this.dirs.frame[index] + offset !== expected) return 0;
    return Math.min(npage, ENTRY_PAGES[level] - offset);
  }

  /** The table with which the four-level walks begin. */
  #rootFor(iovaPn: IovaPn): number {
    if (this.top < 4) return this.top === 2 ? this.#walkRoot : this.root;
    let table = this.root;
    for (let level = this.top; level > 3; level--)
      table = this.dirs.child[(table << 9) + slotOf(iovaPn, level)];
    return table;
  }

  /** Reads a leaf and those behind it that are like it. */
  #readLeaves(level: number, index: number, end: number, out: LeafRun): void {
    const { frame, bits } = level === 0 ? this.pts : this.dirs;
    const { child } = this.dirs;
    const step = ENTRY_PAGES[level];
    const leafBits = bits[index];
    const copies = leafBits >>> COPIES_SHIFT;
    let pfn = (out.pfn = frame[index]);
    let at = index + 1;
    for (; at < end; at++) {
      pfn += step;
      if (frame[at] !== pfn || bits[at] !== leafBits || (level > 0 && child[at] !== LEAF)) break;
    }
    out.prot = leafBits & ACCESS_BITS;
    out.order = 9 * level + copies;
    // A leaf of which a copy was overwritten is one all the same.
    out.leaves = Math.max(1, (at - index) >>> copies);
  }

  /** First entry from one on that is a leaf or leads to a table; `end` without one. */
  #nextEntry(from: number, end: number, level: number): number {
    let at = from;
    if (level === 0) {
      const { bits, words } = this.pts;
      while (at < end && bits[at] === 0) at += (at & 3) === 0 && words[at >>> 2] === 0 ? 4 : 1;
    } else {
      const { child } = this.dirs;
      const few = end - 3;
      while (at < few && (child[at] | child[at + 1] | child[at + 2] | child[at + 3]) === 0) at += 4;
      while (at < end && child[at] === 0) at++;
    }
    return at;
  }
}

/** Counter of the leaves of an order. */
function leafSlot(order: number): number {
  if (order === 0) return Slot.iommuLeaves4k;
  if (order === 9) return Slot.iommuLeaves2m;
  return order === 18 ? Slot.iommuLeaves1g : Slot.iommuLeavesOther;
}

/** A bound of the frames of extents. */
function endOfFrames({ pfn, npage }: Extents, from: number, to: number): Pfn {
  let end = 0;
  for (let i = from; i < to; i++) end = Math.max(end, pfn[i] + Math.abs(npage[i]));
  return end;
}

/**
 * Clears entries; for a few of them a loop beats the built-in fill.
 *
 * @param bits access bits of the entries
 * @param frame frames of the entries
 * @param from first entry
 * @param to end of the entries, exclusive
 */
export function clearEntries(bits: Uint8Array, frame: PageNumbers, from: number, to: number): void {
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
