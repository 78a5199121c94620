/**
 * AMD v1 tables as the AMD driver kept them up to 6.18.
 *
 * - Mapping overwrites what is there: leaves, pieces of leaves, and tables, also with live leaves
 *   beneath. What was replaced costs one flush of the whole call.
 * - Unmapping takes every leaf that it meets whole, and goes on behind it; an absent entry of a last
 *   level table counts as unmapped, one above ends the call. Tables stay until a larger leaf
 *   replaces them.
 * - The gather only grows, unless the hardware caches absent entries: then a gap flushes first.
 *
 * @source drivers/iommu/amd/io_pgtable.c iommu_v1_map_pages, alloc_pte, fetch_pte,
 * iommu_v1_unmap_pages, drivers/iommu/amd/iommu.c amd_iommu_iotlb_gather_add_page, 6.18; reference
 * iommu.md §5, §7.2, §14.3; recordings README-amd
 */
import {
  Errno,
  LEAF,
  pagesOf,
  PTRS_PER_TABLE,
  Slot,
  type Counters,
  type Extents,
  type IovaPn,
  type Pfn,
} from '@pinfold/base';
import { AmdDomain } from '../drivers/amd-iommu.ts';
import type { IotlbGather } from '../iotlb-gather.ts';
import { AMD_V1_SHAPE } from './amd-v1-tables.ts';
import {
  IOMMU,
  type DriverFunctions,
  type IommuDevice,
  type IoPageTable,
  type IoPageTableFormat,
  type IoPageTableOptions,
} from './format.ts';
import { COPIES_SHIFT, ENTRY_PAGES, RadixTables } from './radix-tables.ts';

const TRACED: DriverFunctions = { map: ['amd_iommu_map_pages'], unmap: ['amd_iommu_unmap_pages'] };
/** End of the output addresses in pages: an entry holds 52 bits of them, and drops what is above. */
const OUTPUT_PAGES = 2 ** 40;

class AmdV1 extends RadixTables implements IoPageTable {
  readonly traced = TRACED;
  readonly #domain: AmdDomain;
  /** Tables that the map under way has replaced. */
  readonly #replaced: number[] = [];
  /** Whether the map under way has to flush. */
  #updated = false;

  constructor(options: IoPageTableOptions, counters: Counters) {
    super(AMD_V1_SHAPE, counters);
    this.#domain = new AmdDomain(
      options,
      { flushesToLast: false, keepsDirectories: false },
      counters,
    );
    this.traceAlloc();
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    this.#updated = false;
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    const error = bits === 0 ? -Errno.EINVAL : this.#map(iovaPn, pfn, order, count, bits);
    if (this.#updated) {
      const last = iovaPn + count * pagesOf(order) - 1;
      this.counters.add(Slot.iotlbGatherSyncs, 1);
      this.#domain.flushPages(iovaPn, last, true);
    }
    this.#domain.putPages();
    this.freeTables(this.#replaced);
    this.#replaced.length = 0;
    return error;
  }

  mapLeaves(iovaPn: IovaPn, extents: Extents, from: number, to: number, prot: number): number {
    const bits = prot & (IOMMU.READ | IOMMU.WRITE);
    if (bits === 0 || this.#domain.npCache) return 0;
    return this.mapWholeLeaves(iovaPn, extents, from, to, bits);
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    const unmapped = this.#unmap(iovaPn, count * pagesOf(order));
    if (unmapped === 0) return 0;
    if (this.#domain.npCache && gather.isDisjoint(iovaPn, unmapped)) {
      this.counters.add(Slot.iotlbGatherSyncs, 1);
      this.iotlbSync(gather);
    }
    gather.addRange(iovaPn, unmapped);
    return unmapped;
  }

  iotlbSync(gather: IotlbGather): void {
    this.#domain.iotlbSync(gather);
    this.freeGathered(gather);
  }

  iotlbSyncMap(iovaPn: IovaPn, npage: number): void {
    if (this.#domain.npCache || this.counters.tracer !== null)
      this.#domain.iotlbSyncMap(iovaPn, npage);
  }

  attachDevice(device: IommuDevice): void {
    this.#domain.attach(device);
  }

  detachDevice(device: IommuDevice): void {
    this.#domain.detach(device);
  }

  freeAll(): void {
    this.#domain.free();
  }

  #map(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, bits: number): number {
    const level = Math.floor(order / 9);
    const copies = order - 9 * level;
    const step = 1 << copies;
    const pages = ENTRY_PAGES[level];
    const packed = bits | (copies << COPIES_SHIFT);
    const arena = level === 0 ? this.pts : this.dirs;
    let left = count;
    while (left > 0) {
      const done = count - left;
      // Addresses of 64 bits go on at 0.
      const at = (iovaPn + done * pagesOf(order)) % this.aperturePages;
      while (at >= this.reach || this.top < level) this.#raiseTop();
      const first = this.#allocPte(at, level);
      const leaves = Math.min(left, (PTRS_PER_TABLE - (first & 511)) >>> copies);
      const frame = (pfn + done * pagesOf(order)) % OUTPUT_PAGES;
      arena.admitFrames(frame + leaves * pagesOf(order));
      for (let i = 0; i < leaves * step; i++) {
        if (level > 0) this.#freeClearPte(first + i, level);
        arena.frame[first + i] = frame + i * pages;
        arena.bits[first + i] = packed;
      }
      this.countLeaves(order, leaves);
      this.mapped += leaves * pagesOf(order);
      left -= leaves;
    }
    return 0;
  }

  #raiseTop(): void {
    this.addLevel();
    this.#domain.raisedTop();
  }

  /**
   * A page's entry in the table of a level. A leaf on the way to it makes room for a table, with all
   * its copies.
   */
  #allocPte(iovaPn: IovaPn, level: number): number {
    for (;;) {
      const found = this.entryAt(iovaPn, level);
      if (found !== LEAF) return found;
      this.#clearLeafAt(iovaPn);
      this.#updated = true;
    }
  }

  /** Clears the leaf that translates a page, with the copies that still are it. */
  #clearLeafAt(iovaPn: IovaPn): void {
    const level = this.levelAt(iovaPn);
    const index = this.entryOf(iovaPn, level);
    this.#clearGroup(index, level);
  }

  /** Clears the group of entries of which one is a leaf; returns its pages. */
  #clearGroup(index: number, level: number): number {
    const arena = level === 0 ? this.pts : this.dirs;
    const step = 1 << (arena.bits[index] >>> COPIES_SHIFT);
    const first = index & -step;
    for (let i = first; i < first + step; i++) {
      arena.bits[i] = 0;
      arena.frame[i] = 0;
      if (level > 0) arena.child[i] = 0;
    }
    return step * ENTRY_PAGES[level];
  }

  /** Takes what an entry points to, and makes it a leaf. */
  #freeClearPte(index: number, level: number): void {
    const table = this.dirs.child[index];
    if (table > 0) {
      this.collectTables(table, level - 1, this.#replaced);
      this.#updated = true;
    }
    this.dirs.child[index] = LEAF;
  }

  /** Clears leaf after leaf; returns the pages that it has stepped over. */
  #unmap(iovaPn: IovaPn, npage: number): number {
    let at = iovaPn;
    let unmapped = 0;
    while (unmapped < npage && at < this.reach) {
      const level = this.levelAt(at);
      const index = this.entryOf(at, level);
      if (level === 0) {
        const n = this.#clearPages(index, npage - unmapped);
        unmapped += n;
        at += n;
        continue;
      }
      if (this.dirs.child[index] !== LEAF) break;
      const pages = this.#clearGroup(index, level);
      unmapped += pages;
      at = Math.floor(at / pages) * pages + pages;
    }
    return unmapped;
  }

  /** The same in a last level table; returns the pages stepped over, from the entry on. */
  #clearPages(index: number, npage: number): number {
    const { bits, frame } = this.pts;
    const end = (index | 511) + 1;
    let at = index;
    let unmapped = 0;
    while (unmapped < npage && at < end) {
      const step = 1 << (bits[at] >>> COPIES_SHIFT);
      const next = (at & -step) + step;
      for (let i = at & -step; i < next; i++) {
        bits[i] = 0;
        frame[i] = 0;
      }
      unmapped += step;
      at = next;
    }
    return unmapped;
  }
}

/** The format's entry in the registry. */
export const amdV1: IoPageTableFormat = {
  name: 'amd-v1',
  summary: 'AMD v1 host page tables, every power of two, code of the AMD driver up to 6.18',
  create: (options, counters) => new AmdV1(options, counters),
};
