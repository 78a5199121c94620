/**
 * VT-d second-stage tables as the hardware reads them: three to five levels of 512 entries, leaves
 * of 4 KiB, 2 MiB and 1 GiB, present if readable or writable. What every code that maintains such
 * tables shares is here: the storage, the walks, iova_to_phys and the contiguous scan. A format adds
 * how it maps and unmaps.
 *
 * Levels are numbered from the leaf side: 0 PT, 1 PD, 2 PDPT, 3 PML4, 4 PML5.
 *
 * @source Intel VT-d specification, second-stage translation; drivers/iommu/intel/iommu.c
 * intel_iommu_iova_to_phys, intel_iommu_tlb_sync, 6.16; reference iommu.md §6, §7.1
 */
import {
  InputError,
  LEAF,
  offsetIn,
  pagesOf,
  PAGE_SIZE,
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
import { LeafRun, type IoLeaf, type IoPageTableOptions, type PhysRun } from './format.ts';
import { walk1g, walk2m, walkPages } from './four-level-walk.ts';
import { writeLeaves } from './write-leaves.ts';

/** Pages of one entry, per level. */
export const ENTRY_PAGES: readonly number[] = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36];
/** Pages of a whole table, per level. */
export const TABLE_PAGES: readonly number[] = ENTRY_PAGES.map((pages) => pages * PTRS_PER_TABLE);
/** Counter slots of the leaves written, per level. */
export const LEAF_SLOTS: readonly number[] = [
  Slot.iommuLeaves4k,
  Slot.iommuLeaves2m,
  Slot.iommuLeaves1g,
];
const LOW_MASK = 2 ** 18 - 1;

/** Index of a page's entry in a table of a level. Not exported: that makes it slower in the walks. */
function slotOf(iovaPn: IovaPn, level: number): number {
  return level < 3
    ? ((iovaPn & (2 ** 27 - 1)) >>> (9 * level)) & 511
    : Math.floor(iovaPn / (level === 3 ? 2 ** 27 : 2 ** 36)) & 511;
}

/** The tables of one domain, and what only reads or frees them. */
export class VtdTables {
  /** Orders of the supported leaf sizes, ascending (pgsize_bitmap). */
  readonly pageOrders: readonly number[];
  /** Input address space in pages: 2^(address width - 12). */
  readonly aperturePages: number;
  /** Pages that the last map mapped, also when it failed half way. */
  mapped = 0;
  /** Counters to add to. */
  protected readonly counters: Counters;
  /** Level of the root. */
  protected readonly top: number;
  /** Tables of level 1 and above. */
  protected readonly dirs: TableArena = new TableArena(true);
  /** Tables of level 0. */
  protected readonly pts: TableArena = new TableArena(false);
  /** The root, one of `dirs`. */
  protected readonly root: number;
  /** The root as a four-level walk needs it: of a three-level table, a directory above it. */
  readonly #walkRoot: number;

  /**
   * @param options facts of the hardware
   * @param counters counters to add to
   * @throws {InputError} when the address width is none of 39, 48 and 57 bits
   */
  constructor(options: IoPageTableOptions, counters: Counters) {
    const levels = (options.addressWidth - 12) / 9;
    if (levels !== 3 && levels !== 4 && levels !== 5) {
      throw new InputError(
        'IOMMU address width',
        '39, 48 or 57 bits',
        String(options.addressWidth),
      );
    }
    this.counters = counters;
    this.top = levels - 1;
    this.aperturePages = 2 ** (options.addressWidth - 12);
    this.pageOrders = [0, 9, 18].filter(
      (order) => order === 0 || options.superpageOrders.includes(order),
    );
    this.root = this.dirs.alloc();
    this.#walkRoot = levels === 3 ? this.dirs.alloc() : this.root;
    if (levels === 3) this.dirs.child[this.#walkRoot * PTRS_PER_TABLE] = this.root;
  }

  /** Page-table pages in use, the root included. */
  get tablePages(): number {
    return this.dirs.live + this.pts.live - (this.#walkRoot === this.root ? 0 : 1);
  }

  /**
   * Invalidates the gathered range and frees the tables that waited for it.
   *
   * @param gather the pending invalidation, empty afterwards
   * @source drivers/iommu/intel/iommu.c intel_iommu_tlb_sync, 6.16
   */
  iotlbSync(gather: IotlbGather): void {
    const { tracer } = this.counters;
    tracer?.enter('intel_iommu_tlb_sync');
    this.flushRange(gather.start, gather.end, PAGE_SIZE - 1);
    tracer?.exit('intel_iommu_tlb_sync');
    this.freeTables(gather.freelist);
    gather.freelist.length = 0;
    gather.reset();
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
    if (iovaPn >= this.aperturePages) return 0;
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
  iovaToPhysRun(iovaPn: IovaPn, npage: number, out: PhysRun): void {
    const first = this.iovaToPhys(iovaPn);
    out.pfn = first;
    out.npage = first === 0 ? 0 : 1;
    let walks = 0;
    let levels = 0;
    while (out.npage > 0 && out.npage < npage) {
      const at = iovaPn + out.npage;
      // The tight loop takes what has leaves of one size; a walk of any kind decides at its end.
      const level = at < this.aperturePages ? this.levelAt(at) : this.top + 1;
      const run = this.#consecutive(at, npage - out.npage, first + out.npage, level);
      walks += run > 0 ? run : 1;
      levels += (run > 0 ? run : 1) * (this.top - level + 1);
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
   * @returns whether there are any
   */
  nextLeaves(from: IovaPn, out: LeafRun): boolean {
    let table = this.root;
    let level = this.top;
    for (let at = from; at < this.aperturePages;) {
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
      out.iovaPn = at - offsetIn(at, 9 * level);
      this.#readLeaves(level, first + next, first + PTRS_PER_TABLE, out);
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
    if (level < 0 || !this.pageOrders.includes(9 * level) || iovaPn >= this.aperturePages) return 0;
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
    this.counters.add(LEAF_SLOTS[level], n);
    this.mapped = n * pages;
    return n;
  }

  /**
   * Invalidates a range of the IOTLB.
   *
   * @param first first page; Infinity if the range is empty
   * @param last last page
   * @param offset the last byte in it that the driver names
   * @source drivers/iommu/intel/cache.c cache_tag_flush_range, 6.16
   */
  protected flushRange(first: IovaPn, last: IovaPn, offset: number): void {
    const { tracer } = this.counters;
    this.counters.add(Slot.cacheTagFlushes, 1);
    tracer?.enter('cache_tag_flush_range', first, last, offset);
    tracer?.exit('cache_tag_flush_range');
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
        next = above === 1 ? this.pts.alloc() : this.dirs.alloc();
        this.dirs.child[index] = next;
        this.counters.add(Slot.iommuTableAllocs, 1);
      }
      table = next;
    }
    return table * PTRS_PER_TABLE + slotOf(iovaPn, level);
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
   * One walk from the root per page while it ends at a leaf of the given level that translates to
   * `expected`, `expected + 1`, and so on; returns how many did.
   */
  #consecutive(iovaPn: IovaPn, npage: number, expected: Pfn, level: number): number {
    const { child, frame } = this.dirs;
    const root = this.#rootFor(iovaPn) << 9;
    // The loops keep to 32-bit integers, so a long run comes in pieces.
    const end = Math.min(npage, 2 ** 27 - (iovaPn & (2 ** 27 - 1))) | 0;
    const high = iovaPn < this.aperturePages ? ((iovaPn / 2 ** 18) | 0) & LOW_MASK : 0;
    const low = iovaPn & LOW_MASK;
    if (level === 0) return walkPages(child, this.pts.frame, root, high, low, end, expected);
    if (level === 1) return walk2m(child, frame, root, high, low, end, expected);
    return level === 2 ? walk1g(child, frame, root, high, low, end, expected) : 0;
  }

  /** The table with which the four-level walks begin. */
  #rootFor(iovaPn: IovaPn): number {
    if (this.top === 4) return this.dirs.child[(this.root << 9) + slotOf(iovaPn, 4)];
    return this.#walkRoot;
  }

  /** Reads a leaf and those behind it that are like it. */
  #readLeaves(level: number, index: number, end: number, out: LeafRun): void {
    const { frame, bits } = level === 0 ? this.pts : this.dirs;
    const { child } = this.dirs;
    const step = ENTRY_PAGES[level];
    const prot = (out.prot = bits[index]);
    let pfn = (out.pfn = frame[index]);
    let at = index + 1;
    for (; at < end; at++) {
      pfn += step;
      if (frame[at] !== pfn || bits[at] !== prot || (level > 0 && child[at] !== LEAF)) break;
    }
    out.order = 9 * level;
    out.leaves = at - index;
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
