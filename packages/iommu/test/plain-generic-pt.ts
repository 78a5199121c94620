/**
 * VT-d second-stage tables of the generic page table code in the plainest form: a map of leaves and
 * a set of tables, with rules on whole ranges instead of a walk.
 *
 * @source drivers/iommu/generic_pt/iommu_pt.h map_range, unmap_range, 7.2; reference iommu.md §14.4
 */
import { Errno } from '@pinfold/base';
import type { IoLeaf } from '../src/formats/format.ts';
import { expectedLeaves } from './expected-leaves.ts';

/** Pages that one table covers, per level. */
const TABLE_PAGES = [9, 18, 27, 36, 45].map((order) => 2 ** order);

/** A table, by its level and the first page that it covers. */
interface Table {
  readonly level: number;
  readonly start: number;
}

/** A page table, with counts of what was done to it. */
export class PlainGenericPt {
  readonly #top: number;
  readonly #orders: readonly number[];
  readonly #leaves = new Map<number, IoLeaf>();
  readonly #tables = new Map<string, Table>();
  /** Tables allocated, tables freed and range flushes so far. */
  readonly counts = { allocs: 0, frees: 0, flushes: 0 };

  /**
   * @param addressWidth 39, 48 or 57
   * @param orders page sizes, ascending
   */
  constructor(addressWidth: number, orders: readonly number[]) {
    this.#top = (addressWidth - 12) / 9 - 1;
    this.#orders = orders;
  }

  /** Table pages in use, the root included. */
  get tables(): number {
    return 1 + this.#tables.size;
  }

  /** Maps; undoes what it did if a leaf is in the way. */
  map(iovaPn: number, pfn: number, npage: number, prot: number): number {
    let replaced = 0;
    for (const leaf of expectedLeaves(this.#orders, iovaPn, pfn, npage, prot)) {
      if (this.#isInTheWay(leaf)) {
        if (replaced > 0) this.counts.flushes++;
        this.unmap(iovaPn, leaf.iovaPn - iovaPn);
        return -Errno.EADDRINUSE;
      }
      const pages = 2 ** leaf.order;
      replaced += this.#freeWithin(leaf.iovaPn, leaf.iovaPn + pages, leaf.order / 9 - 1);
      this.#makeTables(leaf);
      this.#leaves.set(leaf.iovaPn, leaf);
    }
    if (replaced > 0) this.counts.flushes++;
    return 0;
  }

  /** Unmaps leaf after leaf up to what is not the start of one, and flushes; returns the pages. */
  unmap(iovaPn: number, npage: number): number {
    let at = iovaPn;
    for (
      let leaf = this.#leaves.get(at);
      leaf && at < iovaPn + npage;
      leaf = this.#leaves.get(at)
    ) {
      this.#leaves.delete(at);
      at += 2 ** leaf.order;
    }
    this.#freeWithin(iovaPn, Math.min(at, iovaPn + npage), this.#top - 1);
    this.counts.flushes++;
    return at - iovaPn;
  }

  /** The leaf that covers a page, if any. */
  leafAt(iovaPn: number): IoLeaf | null {
    for (const order of this.#orders) {
      const leaf = this.#leaves.get(Math.floor(iovaPn / 2 ** order) * 2 ** order);
      if (leaf?.order === order) return leaf;
    }
    return null;
  }

  /** Frame of a page, 0 if there is none. */
  iovaToPhys(iovaPn: number): number {
    const leaf = this.leafAt(iovaPn);
    return leaf ? leaf.pfn + iovaPn - leaf.iovaPn : 0;
  }

  leaves(): IoLeaf[] {
    return [...this.#leaves.values()].sort((a, b) => a.iovaPn - b.iovaPn);
  }

  #isInTheWay({ iovaPn, order }: IoLeaf): boolean {
    if (this.leafAt(iovaPn)) return true;
    return [...this.#leaves.keys()].some((at) => at >= iovaPn && at < iovaPn + 2 ** order);
  }

  /** Tables on the way to a leaf. */
  #makeTables({ iovaPn, order }: IoLeaf): void {
    for (let level = order / 9; level < this.#top; level++) {
      const start = Math.floor(iovaPn / TABLE_PAGES[level]) * TABLE_PAGES[level];
      const key = `${level}:${start}`;
      if (this.#tables.has(key)) continue;
      this.#tables.set(key, { level, start });
      this.counts.allocs++;
    }
  }

  /** Frees the tables up to a level that lie in [start, end); returns how many. */
  #freeWithin(from: number, end: number, maxLevel: number): number {
    const before = this.#tables.size;
    for (const [key, { level, start }] of this.#tables) {
      if (level > maxLevel || start < from || start + TABLE_PAGES[level] > end) continue;
      this.#tables.delete(key);
    }
    this.counts.frees += before - this.#tables.size;
    return before - this.#tables.size;
  }
}
