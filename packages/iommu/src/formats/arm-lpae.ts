/**
 * Arm LPAE stage 1 tables, as the SMMUv3 drivers keep them by the code that they share.
 *
 * - Mapping refuses an entry that is present. A block over a table takes the table, whatever is in
 *   it, with a flush of its own.
 * - Unmapping clears entries of the size that it is asked for, up to the end of their table: a table
 *   in such an entry goes as a whole, with a flush of its own. An absent entry ends the call, and so
 *   does a block that is larger.
 * - The gather takes every leaf alone: one of another size, or not touching, syncs first.
 * - A leaf is readable, also if only WRITE was asked for. The contiguous bit is not used.
 *
 * @source drivers/iommu/io-pgtable-arm.c, 6.18 and 7.2; reference iommu.md §5, §7.3, §14.5;
 * recordings README-arm
 */
import {
  Errno,
  InputError,
  LEAF,
  PTRS_PER_TABLE,
  Slot,
  type Counters,
  type Extents,
  type IovaPn,
  type Pfn,
} from '@pinfold/base';
import { SmmuDomain, type SmmuDriverRules } from '../drivers/arm-smmu-v3.ts';
import type { IotlbGather } from '../iotlb-gather.ts';
import {
  IOMMU,
  type DriverFunctions,
  type IommuDevice,
  type IoPageTable,
  type IoPageTableFormat,
  type IoPageTableOptions,
} from './format.ts';
import { clearEntries, ENTRY_PAGES, RadixTables, type RadixShape } from './radix-tables.ts';

const TRACED: DriverFunctions = {
  map: ['arm_smmu_map_pages', 'arm_lpae_map_pages'],
  unmap: ['arm_smmu_unmap_pages', 'arm_lpae_unmap_pages'],
};
/** Input addresses of four levels in bits. */
const ADDRESS_WIDTH = 48;
const SHAPE: RadixShape = {
  levels: 4,
  aperturePages: 2 ** (ADDRESS_WIDTH - 12),
  pageOrders: [0, 9, 18],
};
/** Output addresses that an entry holds, unless the hardware has fewer bits. */
const ENTRY_ADDRESS_BITS = 48;
/** The kernel's number of the last level; it counts from the top. */
const LAST_LEVEL = 3;

class ArmLpae extends RadixTables implements IoPageTable {
  readonly traced = TRACED;
  readonly #domain: SmmuDomain;
  /** End of the output addresses in pages. */
  readonly #outputPages: number;

  constructor(options: IoPageTableOptions, counters: Counters, rules: SmmuDriverRules) {
    const { addressWidth } = options;
    if (addressWidth !== ADDRESS_WIDTH)
      throw new InputError('SMMU address width', `${ADDRESS_WIDTH} bits`, String(addressWidth));
    super(SHAPE, counters);
    this.#outputPages = 2 ** ((options.outputWidth ?? ENTRY_ADDRESS_BITS) - 12);
    this.#domain = new SmmuDomain(options, rules, counters);
    this.traceAlloc();
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.mapped = 0;
    if (iovaPn >= this.aperturePages || pfn >= this.#outputPages) return -Errno.ERANGE;
    const bits = accessBits(prot);
    if (bits === 0) return -Errno.EINVAL;
    const level = order / 9;
    const first = this.#descend(iovaPn, level);
    if (first === LEAF) return -Errno.EEXIST;
    const n = Math.min(PTRS_PER_TABLE - (first & 511), count);
    if (!this.#makeRoom(first, n, level, iovaPn)) return -Errno.EEXIST;
    const pages = ENTRY_PAGES[level];
    const arena = level === 0 ? this.pts : this.dirs;
    arena.admitFrames(pfn + n * pages);
    for (let i = 0; i < n; i++) {
      if (level > 0) arena.child[first + i] = LEAF;
      arena.frame[first + i] = pfn + i * pages;
      arena.bits[first + i] = bits;
    }
    this.countLeaves(order, n);
    this.mapped = n * pages;
    return 0;
  }

  mapLeaves(iovaPn: IovaPn, extents: Extents, from: number, to: number, prot: number): number {
    const bits = accessBits(prot);
    return bits === 0 ? 0 : this.mapWholeLeaves(iovaPn, extents, from, to, bits);
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    if (iovaPn >= this.aperturePages) return 0;
    const level = order / 9;
    const end = this.levelAt(iovaPn);
    this.#traceLevels('__arm_lpae_unmap', this.top - Math.max(level, end) + 1);
    // An absent entry, or a larger block.
    if (end > level) return 0;
    const first = this.entryOf(iovaPn, level);
    const most = Math.min(PTRS_PER_TABLE - (first & 511), count);
    const n =
      level === 0 ? this.#clearPages(first, most) : this.#clearEntries(first, most, level, iovaPn);
    if (n > 0) this.#gatherLeaves(gather, iovaPn, n, ENTRY_PAGES[level]);
    return n * ENTRY_PAGES[level];
  }

  iotlbSync(gather: IotlbGather): void {
    this.#domain.iotlbSync(gather);
    gather.reset();
  }

  attachDevice(device: IommuDevice): void {
    this.#domain.attach(device);
  }

  detachDevice(device: IommuDevice): void {
    this.#domain.detach(device);
  }

  freeAll(): void {
    this.#domain.free();
    this.#traceFree(this.root, this.top);
  }

  protected override traceAlloc(): void {
    const { tracer } = this.counters;
    tracer?.enter('__arm_lpae_alloc_pages');
    tracer?.enter('iommu_alloc_pages_node_sz', 1);
    tracer?.exit('iommu_alloc_pages_node_sz');
    tracer?.exit('__arm_lpae_alloc_pages');
  }

  /** The entry in the table of a level; the driver calls itself once per level on the way. */
  #descend(iovaPn: IovaPn, level: number): number {
    if (this.counters.tracer === null) return this.entryAt(iovaPn, level);
    for (let at = this.top; at > level; at--) {
      this.#traceLevels('__arm_lpae_map', 1);
      if (this.entryAt(iovaPn, at - 1) === LEAF) return LEAF;
    }
    this.#traceLevels('__arm_lpae_map', 1);
    return this.entryAt(iovaPn, level);
  }

  /** Takes tables out of entries; false if one of them is a leaf. */
  #makeRoom(first: number, n: number, level: number, iovaPn: IovaPn): boolean {
    const { bits } = level === 0 ? this.pts : this.dirs;
    for (let i = 0; i < n; i++) {
      if (bits[first + i] !== 0) return false;
      if (level === 0 || this.dirs.child[first + i] === 0) continue;
      this.#traceLevels('__arm_lpae_unmap', 1);
      this.#freeTable(first + i, level, iovaPn + i * ENTRY_PAGES[level]);
    }
    return true;
  }

  /** Takes a table out of an entry, whatever is in it, and invalidates what walks know of it. */
  #freeTable(index: number, level: number, iovaPn: IovaPn): void {
    const table = this.dirs.child[index];
    this.dirs.child[index] = 0;
    this.counters.add(Slot.iotlbGatherSyncs, 1);
    this.#domain.tlbInvWalk(iovaPn, ENTRY_PAGES[level]);
    this.#traceFree(table, level - 1);
    const freed: number[] = [];
    this.collectTables(table, level - 1, freed);
    this.freeTables(freed);
  }

  /** Clears entries of a last level table until an absent one. */
  #clearPages(first: number, most: number): number {
    const { bits, frame } = this.pts;
    let n = 0;
    while (n < most && bits[first + n] !== 0) n++;
    clearEntries(bits, frame, first, first + n);
    return n;
  }

  /** Clears entries of a directory until an absent one; tables go with all that is in them. */
  #clearEntries(first: number, most: number, level: number, iovaPn: IovaPn): number {
    const { child, bits, frame } = this.dirs;
    let n = 0;
    for (; n < most && child[first + n] !== 0; n++) {
      if (child[first + n] > 0) this.#freeTable(first + n, level, iovaPn + n * ENTRY_PAGES[level]);
    }
    clearEntries(bits, frame, first, first + n);
    child.fill(0, first, first + n);
    return n;
  }

  /** Puts leaves of one size side by side into the gather, each alone. */
  #gatherLeaves(gather: IotlbGather, iovaPn: IovaPn, n: number, pages: number): void {
    const { tracer } = this.counters;
    for (let i = 0; i < (tracer === null ? 1 : n); i++) {
      const at = iovaPn + i * pages;
      tracer?.enter('arm_smmu_tlb_inv_page_nosync', at, pages);
      if (gather.mustSyncBefore(at, pages)) {
        this.counters.add(Slot.iotlbGatherSyncs, 1);
        this.#domain.iotlbSyncInside(gather);
        gather.reset();
      }
      gather.add(at, pages);
      tracer?.exit('arm_smmu_tlb_inv_page_nosync');
    }
    // Those after the first touch the one before.
    gather.addRange(iovaPn, n * pages);
  }

  #traceLevels(fn: '__arm_lpae_map' | '__arm_lpae_unmap', n: number): void {
    const { tracer } = this.counters;
    if (tracer === null) return;
    for (let i = 0; i < n; i++) {
      tracer.enter(fn);
      tracer.exit(fn);
    }
  }

  /** A table is freed after those below it. */
  #traceFree(table: number, level: number): void {
    const { tracer } = this.counters;
    if (tracer === null) return;
    tracer.enter('__arm_lpae_free_pgtable', LAST_LEVEL - level);
    for (let slot = 0; level > 0 && slot < PTRS_PER_TABLE; slot++) {
      const below = this.dirs.child[table * PTRS_PER_TABLE + slot];
      if (below > 0) this.#traceFree(below, level - 1);
    }
    tracer.enter('__arm_lpae_free_pages');
    tracer.enter('iommu_free_pages');
    tracer.exit('iommu_free_pages');
    tracer.exit('__arm_lpae_free_pages');
    tracer.exit('__arm_lpae_free_pgtable');
  }
}

/** Every leaf is readable: the permission bit only takes writing away. */
function accessBits(prot: number): number {
  if ((prot & (IOMMU.READ | IOMMU.WRITE)) === 0) return 0;
  return IOMMU.READ | (prot & IOMMU.WRITE);
}

/** The format's entry in the registry. */
export const armLpaeS1: IoPageTableFormat = {
  name: 'arm-lpae-s1',
  summary: 'Arm LPAE stage 1 tables, pages and blocks, under the SMMUv3 driver of 6.18',
  create: (options, counters) => new ArmLpae(options, counters, { hasInvList: false }),
};

/** The same tables under the driver of 7.2. */
export const armLpaeS1InvList: IoPageTableFormat = {
  name: 'arm-lpae-s1-inv-list',
  summary:
    'Arm LPAE stage 1 tables under the SMMUv3 driver of 7.2, whose domains list what to invalidate',
  create: (options, counters) => new ArmLpae(options, counters, { hasInvList: true }),
};
