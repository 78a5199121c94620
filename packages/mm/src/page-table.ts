/**
 * The CPU page table of one address space, with the levels and entries of the machine's geometry: on
 * x86-64 four levels of 512 entries (PGD, PUD, PMD, PTE; P4D is folded).
 *
 * Levels are numbered from the leaf side: 0 PTE, 1 PMD, 2 PUD. Leaf entries hold the first page frame
 * and {@link PTE} bits.
 *
 * @source reference mm.md §1; arch/x86/include/asm/pgtable_types.h,
 * arch/arm64/include/asm/pgtable-hwdef.h, 6.16
 */
import {
  InputError,
  LEAF,
  ModelBug,
  offsetIn,
  pagesOf,
  TableArena,
  WrittenRange,
  X86_64,
  type PageGeometry,
  type Pfn,
  type Vpn,
} from '@pinfold/base';

/** Bits of a leaf entry. A present entry always has `present`. */
export const PTE = {
  /** The entry maps a page. */
  present: 1,
  /** Writable. */
  write: 2,
  /** PageAnonExclusive: the anonymous page belongs to this process alone. It lives in the entry. */
  anonExclusive: 4,
  /** pte_special: no `struct page` behind it that GUP may take. */
  special: 8,
  /** Written through; kept only of shared mappings of a file that is written back. */
  dirty: 16,
} as const;

/** Page table of one address space. */
export class PageTable {
  /** Page size, entries of a table, levels, leaves. */
  readonly geometry: PageGeometry;
  /** log2 of the entries of a table; the order of a leaf is its level times this. */
  readonly tableBits: number;
  /** The entries of a table less one: `index & tableMask` is the place in its table. */
  readonly tableMask: number;
  /** Virtual pages that it translates. */
  readonly virtualPages: number;
  /** Directories: all tables but those of the last level. */
  readonly dirs: TableArena;
  /** Last-level tables. */
  readonly ptes: TableArena;
  /**
   * Where entries were written, for whoever shows step by step what is mapped. Who writes into
   * `dirs` or `ptes` and changes more than access notes it here.
   */
  readonly written: WrittenRange = new WrittenRange();
  /** Level of the leaf that {@link walk} found. */
  level = 0;
  /** Element of the leaf that {@link walk} found, in `ptes` (level 0) or `dirs`. */
  index = 0;
  readonly #top: number;
  /** Level of the top table. */
  readonly #topLevel: number;
  /** Shift that brings the top table's index down, of a page number without its two lowest levels. */
  readonly #topShift: number;
  /** 1 over the pages of a PUD entry. */
  readonly #perPud: number;
  readonly #maxTables: number;

  /**
   * @param geometry page size, entries of a table, levels, leaves
   * @param maxTables the most tables that it may have; more end in an InputError
   */
  constructor(geometry: PageGeometry = X86_64, maxTables: number = Number.POSITIVE_INFINITY) {
    this.#maxTables = maxTables;
    this.geometry = geometry;
    this.tableBits = geometry.tableBits;
    this.tableMask = geometry.tableEntries - 1;
    this.virtualPages = geometry.virtualPages;
    this.dirs = new TableArena(true, geometry.tableBits);
    this.ptes = new TableArena(false, geometry.tableBits);
    this.#topLevel = geometry.levels - 1;
    this.#topShift = (geometry.levels - 3) * geometry.tableBits;
    this.#perPud = 2 ** -geometry.pudOrder;
    this.#top = this.dirs.alloc();
  }

  /**
   * Walks from the top to the leaf that covers a page; leaves its place in `level` and `index`. At
   * level 0 the entry itself may be absent.
   *
   * @param vpn virtual page, below {@link virtualPages}
   * @returns false if a directory entry on the way is absent
   * @source mm/gup.c follow_page_mask, 6.16
   */
  walk(vpn: Vpn): boolean {
    const bits = this.tableBits;
    const mask = this.tableMask;
    const child = this.dirs.child;
    const high = (vpn * this.#perPud) | 0;
    let table = this.#top;
    for (let shift = this.#topShift; shift > 0; shift -= bits) {
      table = child[(table << bits) + ((high >>> shift) & mask)];
      if (table === 0) return false;
    }
    if (this.#topShift >= 0) {
      const pudIndex = (table << bits) + (high & mask);
      table = child[pudIndex];
      if (table <= 0) return table === LEAF && this.#found(2, pudIndex);
    }
    const pmdIndex = (table << bits) + ((vpn >>> bits) & mask);
    table = child[pmdIndex];
    if (table <= 0) return table === LEAF && this.#found(1, pmdIndex);
    return this.#found(0, (table << bits) + (vpn & mask));
  }

  /**
   * Where the leaf ends that covers a page.
   *
   * @param vpn virtual page that is present
   * @returns the first virtual page after its leaf
   */
  leafEnd(vpn: Vpn): Vpn {
    this.walk(vpn);
    const order = this.tableBits * this.level;
    return vpn - offsetIn(vpn, order) + pagesOf(order);
  }

  /**
   * Frame that the page table holds for a page.
   *
   * @param vpn virtual page
   * @returns its pfn, or -1 if the page is not present
   */
  pfnAt(vpn: Vpn): Pfn {
    if (!this.walk(vpn)) return -1;
    const table = this.level === 0 ? this.ptes : this.dirs;
    if (table.bits[this.index] === 0) return -1;
    return table.frame[this.index] + offsetIn(vpn, this.tableBits * this.level);
  }

  /**
   * Whether the process itself could access a page without a fault.
   *
   * @param vpn virtual page
   * @param write whether to write
   * @returns true if its entry is present and, for a write, writable
   */
  allows(vpn: Vpn, write: boolean): boolean {
    if (!this.walk(vpn)) return false;
    const { bits } = this.level === 0 ? this.ptes : this.dirs;
    const need = write ? PTE.present | PTE.write : PTE.present;
    return (bits[this.index] & need) === need;
  }

  /**
   * Writes leaves for consecutive frames.
   *
   * @param vpn first virtual page, aligned to the leaf
   * @param pfn first page frame, aligned to the leaf
   * @param leaves number of leaves
   * @param level level of the leaves: 0 (PTE), 1 (PMD), 2 (PUD)
   * @param bits {@link PTE} bits
   */
  setLeaves(vpn: Vpn, pfn: Pfn, leaves: number, level: number, bits: number): void {
    const entries = this.tableMask + 1;
    const pages = pagesOf(this.tableBits * level);
    const arena = level === 0 ? this.ptes : this.dirs;
    this.written.add(vpn, leaves * pages);
    arena.admitFrames(pfn + leaves * pages);
    for (let done = 0; done < leaves;) {
      const at = vpn + done * pages;
      const table = this.#tableAt(at, level);
      const slot = this.#slotOf(at, level);
      const n = Math.min(leaves - done, entries - slot);
      for (let i = 0; i < n; i++) {
        const index = table * entries + slot + i;
        if (arena.bits[index] !== 0)
          throw new ModelBug(`virtual page ${at + i * pages} is mapped twice`);
        if (level > 0) arena.child[index] = LEAF;
        arena.frame[index] = pfn + (done + i) * pages;
        arena.bits[index] = bits;
      }
      done += n;
    }
  }

  /**
   * Writes one entry, over what was there: an absent entry or a leaf of the same level.
   *
   * @param vpn virtual page, aligned to the leaf
   * @param pfn first page frame of the leaf
   * @param level level of the leaf: 0 (PTE), 1 (PMD), 2 (PUD)
   * @param bits {@link PTE} bits; 0 makes the entry absent
   */
  setEntry(vpn: Vpn, pfn: Pfn, level: number, bits: number): void {
    const arena = level === 0 ? this.ptes : this.dirs;
    const npage = pagesOf(this.tableBits * level);
    this.written.add(vpn, npage);
    arena.admitFrames(pfn + npage);
    const index = this.#entryOf(this.#tableAt(vpn, level), vpn, level);
    if (level > 0) {
      if (arena.child[index] > 0) throw new ModelBug(`virtual page ${vpn}: a leaf over a table`);
      arena.child[index] = bits === 0 ? 0 : LEAF;
    }
    arena.frame[index] = bits === 0 ? 0 : pfn;
    arena.bits[index] = bits;
  }

  /**
   * Whether a directory entry is empty, so that a large leaf may be put there (pmd_none, pud_none).
   *
   * @param vpn virtual page
   * @param level 1 (PMD) or 2 (PUD)
   * @returns true if nothing is mapped below it and no table hangs there
   */
  none(vpn: Vpn, level: number): boolean {
    let table = this.#top;
    for (let above = this.#topLevel; above > level; above--) {
      table = this.dirs.child[this.#entryOf(table, vpn, above)];
      if (table <= 0) return table === 0;
    }
    return this.dirs.child[this.#entryOf(table, vpn, level)] === 0;
  }

  /**
   * Visits the present leaves that overlap a range, in address order.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @param visit gets the first page of each leaf, its frame, level and {@link PTE} bits; it may
   *   change or clear that leaf
   */
  forEachLeaf(
    start: Vpn,
    end: Vpn,
    visit: (vpn: Vpn, pfn: Pfn, level: number, bits: number) => void,
  ): void {
    const last = Math.min(end, this.virtualPages);
    for (let vpn = start; vpn < last;) {
      const walked = this.walk(vpn);
      if (walked && this.level === 0) {
        const left = this.tableMask + 1 - (this.index & this.tableMask);
        const npage = Math.min(last - vpn, left);
        this.#forEachPte(vpn, this.index, npage, visit);
        vpn += npage;
        continue;
      }
      const { index } = this;
      const level = walked ? this.level : this.#absentLevel(vpn);
      const first = vpn - offsetIn(vpn, this.tableBits * level);
      if (walked) visit(first, this.dirs.frame[index], level, this.dirs.bits[index]);
      vpn = first + pagesOf(this.tableBits * level);
    }
  }

  /** Visits the present entries of one last-level table. */
  #forEachPte(
    vpn: Vpn,
    index: number,
    npage: number,
    visit: (vpn: Vpn, pfn: Pfn, level: number, bits: number) => void,
  ): void {
    const { ptes } = this;
    for (let i = 0; i < npage; i++) {
      const bits = ptes.bits[index + i];
      if (bits !== 0) visit(vpn + i, ptes.frame[index + i], 0, bits);
    }
  }

  /**
   * Replaces the large leaf that covers a page by leaves of the next smaller size, with the same
   * frames and bits (__split_huge_pmd).
   *
   * @param vpn virtual page under a large leaf
   */
  splitLeaf(vpn: Vpn): void {
    if (!this.walk(vpn) || this.level === 0) throw new ModelBug(`no large leaf at page ${vpn}`);
    const { level, index } = this;
    const pfn = this.dirs.frame[index];
    const bits = this.dirs.bits[index];
    this.dirs.child[index] = this.dirs.frame[index] = this.dirs.bits[index] = 0;
    const first = vpn - offsetIn(vpn, this.tableBits * level);
    this.setLeaves(first, pfn, this.tableMask + 1, level - 1, bits);
  }

  /**
   * Finds the next last-level table; ranges without any are skipped table by table of a higher level.
   *
   * @param vpn virtual page to begin at
   * @param end first virtual page after the range
   * @returns the first page, at `vpn` or after it, that a last-level table covers; `end` without one
   */
  nextPteTable(vpn: Vpn, end: Vpn): Vpn {
    const last = Math.min(end, this.virtualPages);
    let at = vpn;
    while (at < last) {
      const level = this.#absentLevel(at);
      if (level === 0) return at;
      const order = this.tableBits * level;
      at += pagesOf(order) - offsetIn(at, order);
    }
    return end;
  }

  /**
   * Frees the last-level table of an aligned PMD range, as when no VMA is left there.
   *
   * @param vpn a virtual page of the range, none of whose pages is mapped
   * @source mm/memory.c free_pgtables, 6.16
   */
  freePteTable(vpn: Vpn): void {
    if (!this.walk(vpn) || this.level !== 0) return;
    this.written.add(vpn - (this.index & this.tableMask), this.tableMask + 1);
    const table = this.index >>> this.tableBits;
    const pmd = this.#entryOf(this.#tableAt(vpn, 1), vpn, 1);
    this.dirs.child[pmd] = 0;
    this.ptes.free(table);
  }

  /**
   * Frees every table but the top one, whatever they map: the end of the address space.
   *
   * @source mm/memory.c free_pgtables, mm/mmap.c exit_mmap, 6.16
   */
  freeTables(): void {
    this.written.add(0, this.virtualPages);
    this.#freeBelow(this.#top, this.#topLevel);
  }

  /** Frees the tables below a directory of a level, and clears its entries. */
  #freeBelow(table: number, level: number): void {
    const { child, frame, bits } = this.dirs;
    const end = (table + 1) << this.tableBits;
    for (let at = table << this.tableBits; at < end; at++) {
      const below = child[at];
      if (below === 0) continue;
      child[at] = frame[at] = bits[at] = 0;
      if (below === LEAF) continue;
      if (level === 1) this.ptes.free(below);
      else {
        this.#freeBelow(below, level - 1);
        this.dirs.free(below);
      }
    }
  }

  /** Level of the absent entry that ends a walk. */
  #absentLevel(vpn: Vpn): number {
    let table = this.#top;
    for (let level = this.#topLevel; level > 0; level--) {
      table = this.dirs.child[this.#entryOf(table, vpn, level)];
      if (table <= 0) return level;
    }
    return 0;
  }

  /** Element of the entry that covers a page, in a table of a level. */
  #entryOf(table: number, vpn: Vpn, level: number): number {
    return table * (this.tableMask + 1) + this.#slotOf(vpn, level);
  }

  #slotOf(vpn: Vpn, level: number): number {
    const low = level < 2;
    const part = low ? vpn : (vpn * this.#perPud) | 0;
    return (part >>> (this.tableBits * (low ? level : level - 2))) & this.tableMask;
  }

  #found(level: number, index: number): boolean {
    this.level = level;
    this.index = index;
    return true;
  }

  #admitTable(): void {
    if (this.dirs.live + this.ptes.live < this.#maxTables) return;
    throw new InputError(
      'memory',
      `steps that need at most ${this.#maxTables} page tables of a process`,
      'one that touches more',
    );
  }

  /** The table of a level that covers a page, made with its directories if absent. */
  #tableAt(vpn: Vpn, level: number): number {
    let table = this.#top;
    for (let above = this.#topLevel; above > level; above--) {
      const index = this.#entryOf(table, vpn, above);
      let next = this.dirs.child[index];
      if (next === LEAF) throw new ModelBug(`virtual page ${vpn} lies under a large leaf`);
      if (next === 0) {
        this.#admitTable();
        next = above === 1 ? this.ptes.alloc() : this.dirs.alloc();
        this.dirs.child[index] = next;
      }
      table = next;
    }
    return table;
  }
}
