/**
 * The buddy allocator: free memory in blocks of 1 page to 2^MAX_PAGE_ORDER, per zone and migrate type.
 *
 * Zones are DMA32 (below 4 GiB), NORMAL and MOVABLE; CMA areas lie in their zone but serve only
 * allocations that may be migrated. An allocation tries the highest zone that it may use first. Memory
 * that was never handed out is kept as a count of largest blocks in a seeded order, so that terabytes
 * cost nothing; what was split or freed lies on free lists and is merged with its buddy.
 *
 * Left out: watermarks, reclaim, compaction, per-CPU lists, fallback between migrate types.
 *
 * @source mm/page_alloc.c __rmqueue_smallest, expand, __free_one_page, gfp_zone, 6.16
 */
import {
  isAligned,
  mulberry32,
  pagesOf,
  X86_64,
  type PageGeometry,
  type Pfn,
  type Vpn,
} from '@pinfold/base';
import { LONGTERM_PIN, type FrameRun, type FrameSource } from './frame-source.ts';
import { PG } from './page-state.ts';
import type { MemoryRange } from './sections.ts';

/** Zones, lowest first. */
export type ZoneName = 'DMA32' | 'NORMAL' | 'MOVABLE';

/** log2 of the first byte above DMA32: 4 GiB. */
const DMA32_SHIFT = 32;
/** log2 of the bytes at the bottom of memory that belong to firmware and kernel: 16 MiB. */
const LOW_SHIFT = 24;

/** How memory looks at boot. */
export interface BuddyOptions {
  /** Decides the order of blocks and what is fragmented; default 1. */
  readonly seed?: number;
  /** Share of halves of largest blocks in which the kernel holds a page: 0 to 1. */
  readonly fragmentation?: number;
  /** Page size of the machine and order of the largest block; default those of x86-64. */
  readonly geometry?: PageGeometry;
}

/** Free pages of one zone and migrate type. */
class FreeArea {
  readonly zone: ZoneName;
  readonly cma: boolean;
  /** Order of the largest block. */
  readonly #maxOrder: number;
  /** Pages of the largest block. */
  readonly #block: number;
  /** Runs of largest blocks that were never handed out: first block (in blocks) and count. */
  readonly #virgin: { readonly first: number; readonly count: number }[];
  #virginBlocks: number;
  #virginUsed = 0;
  /** Numbers drawn from the seeded order. */
  #drawn = 0;
  readonly #permute: (index: number) => number;
  /** Per order: first frames of free blocks; an entry is stale unless `#orderOf` confirms it. */
  readonly #lists: Pfn[][];
  readonly #orderOf = new Map<Pfn, number>();
  #listed = 0;

  constructor(
    zone: ZoneName,
    cma: boolean,
    ranges: readonly MemoryRange[],
    maxOrder: number,
    random: () => number,
  ) {
    const block = pagesOf(maxOrder);
    this.zone = zone;
    this.cma = cma;
    this.#maxOrder = maxOrder;
    this.#block = block;
    this.#lists = Array.from({ length: maxOrder + 1 }, () => []);
    this.#virgin = ranges.map(({ pfn, npage }) => {
      const first = Math.ceil(pfn / block);
      return { first, count: Math.max(0, Math.floor((pfn + npage) / block) - first) };
    });
    this.#virginBlocks = this.#virgin.reduce((sum, { count }) => sum + count, 0);
    this.#permute = permutation(this.#virginBlocks, random);
  }

  /** Free pages. */
  get free(): number {
    return this.#listed + (this.#virginBlocks - this.#virginUsed) * this.#block;
  }

  /** Takes a block; returns its first frame, or -1. */
  take(order: number, fragment: (block: Pfn) => readonly (readonly [Pfn, number])[]): Pfn {
    for (;;) {
      for (let from = order; from <= this.#maxOrder; from++) {
        const pfn = this.#pop(from);
        if (pfn >= 0) return this.#expand(pfn, from, order);
      }
      if (this.#virginUsed === this.#virginBlocks) return -1;
      const block = this.#nextVirgin();
      for (const [pfn, blockOrder] of fragment(block)) this.#push(pfn, blockOrder);
    }
  }

  /** Gives a block back and merges it with its free buddies. */
  put(pfn: Pfn, order: number): void {
    let [at, size] = [pfn, order];
    while (size < this.#maxOrder) {
      const buddy = isAligned(at, size + 1) ? at + pagesOf(size) : at - pagesOf(size);
      if (this.#orderOf.get(buddy) !== size) break;
      this.#orderOf.delete(buddy);
      this.#listed -= pagesOf(size);
      at = Math.min(at, buddy);
      size++;
    }
    this.#push(at, size);
  }

  /** Takes the aligned pages with the highest address that were never touched; -1 without any. */
  takeGigantic(order: number): Pfn {
    if (this.#virginUsed > 0) return -1;
    for (const run of [...this.#virgin].reverse()) {
      const blocks = pagesOf(order - this.#maxOrder);
      const last = Math.floor((run.first + run.count) / blocks) * blocks - blocks;
      if (last < run.first) continue;
      const at = this.#virgin.indexOf(run);
      const after = { first: last + blocks, count: run.first + run.count - last - blocks };
      this.#virgin.splice(at, 1, { first: run.first, count: last - run.first }, after);
      this.#virginBlocks -= blocks;
      return last * this.#block;
    }
    return -1;
  }

  #push(pfn: Pfn, order: number): void {
    this.#lists[order].push(pfn);
    this.#orderOf.set(pfn, order);
    this.#listed += pagesOf(order);
  }

  #pop(order: number): Pfn {
    const list = this.#lists[order];
    for (let pfn = list.pop(); pfn !== undefined; pfn = list.pop()) {
      if (this.#orderOf.get(pfn) !== order) continue;
      this.#orderOf.delete(pfn);
      this.#listed -= pagesOf(order);
      return pfn;
    }
    return -1;
  }

  /** Splits a block until it has the order wanted; the upper halves go to the lists. */
  #expand(pfn: Pfn, from: number, order: number): Pfn {
    for (let size = from - 1; size >= order; size--) this.#push(pfn + pagesOf(size), size);
    return pfn;
  }

  /** The next block of the seeded order, in which gigantic pages that were set aside have left gaps. */
  #nextVirgin(): Pfn {
    this.#virginUsed++;
    for (;;) {
      const block = this.#nthVirgin(this.#permute(this.#drawn++));
      if (block >= 0) return block;
    }
  }

  #nthVirgin(index: number): Pfn {
    let left = index;
    for (const { first, count } of this.#virgin) {
      if (left < count) return (first + left) * this.#block;
      left -= count;
    }
    return -1;
  }
}

/** The page allocator of one machine. */
export class BuddyAllocator implements FrameSource {
  readonly #areas: readonly FreeArea[];
  readonly #areaOfRange: readonly { readonly end: Pfn; readonly area: FreeArea }[];
  readonly #random: () => number;
  readonly #fragmentation: number;
  readonly #maxOrder: number;
  /** Huge pages that were set aside at boot, by order. */
  readonly #pools = new Map<number, Pfn[]>();

  /**
   * Takes over the memory of a machine, of which nothing is in use yet.
   *
   * @param ranges the machine's memory, as given to the memory map
   * @param options seed and fragmentation
   * @source mm/page_alloc.c, mm/mm_init.c free_area_init, 6.16
   */
  constructor(ranges: readonly MemoryRange[], options: BuddyOptions = {}) {
    const { seed = 1, fragmentation = 0, geometry = X86_64 } = options;
    const { maxPageOrder, pageShift } = geometry;
    this.#random = mulberry32(seed);
    this.#fragmentation = fragmentation;
    this.#maxOrder = maxPageOrder;
    const parts = ranges
      .flatMap((range) => zonedParts(range, pageShift))
      .sort((a, b) => a.pfn - b.pfn);
    const areas: FreeArea[] = [];
    // Highest zone first: the order in which an allocation tries them. CMA serves before its zone.
    for (const zone of ['MOVABLE', 'NORMAL', 'DMA32'] as const) {
      for (const cma of [true, false]) {
        const own = parts.filter((part) => part.zoneName === zone && part.cma === cma);
        if (own.length > 0) areas.push(new FreeArea(zone, cma, own, maxPageOrder, this.#random));
      }
    }
    this.#areas = areas;
    this.#areaOfRange = parts.map((part) => ({
      end: part.pfn + part.npage,
      area: areas.find(({ zone, cma }) => zone === part.zoneName && cma === part.cma) as FreeArea,
    }));
  }

  /**
   * Free pages of a zone, its CMA areas included (nr_free_pages).
   *
   * @param zone the zone
   * @returns pages
   * @source mm/vmstat.c NR_FREE_PAGES, 6.16
   */
  freePages(zone: ZoneName): number {
    return this.#areas.reduce((sum, area) => sum + (area.zone === zone ? area.free : 0), 0);
  }

  /**
   * Sets huge pages aside; to be called before anything else is allocated.
   *
   * @param order folio order
   * @param count how many
   * @returns how many there are now
   * @source mm/hugetlb.c hugetlb_hstate_alloc_pages, 6.16
   */
  setAside(order: number, count: number): number {
    const pool: Pfn[] = [];
    for (let i = 0; i < count; i++) {
      const pfn = this.#hugePage(order);
      if (pfn < 0) break;
      pool.push(pfn);
    }
    this.#pools.set(order, pool);
    return pool.length;
  }

  /**
   * Allocates a block.
   *
   * @param order its order, at most that of the largest block
   * @param movable whether it may lie in ZONE_MOVABLE and in CMA areas: memory that can be migrated
   * @returns its first frame, or -1 if no zone has one
   * @source mm/page_alloc.c get_page_from_freelist, 6.16
   */
  allocPages(order: number, movable: boolean): Pfn {
    for (const area of this.#areas) {
      if (!movable && (area.cma || area.zone === 'MOVABLE')) continue;
      const pfn = area.take(order, (block) => this.#firstTouch(block));
      if (pfn >= 0) return pfn;
    }
    return -1;
  }

  /**
   * Gives a block back.
   *
   * @param pfn first frame
   * @param order its order
   * @source mm/page_alloc.c __free_one_page, 6.16
   */
  freePagesAt(pfn: Pfn, order: number): void {
    this.#areaOf(pfn)?.put(pfn, order);
  }

  framesFor(_vpn: Vpn, _npage: number, order: number, out: FrameRun, pageFlags = 0): void {
    const hugetlb = (pageFlags & PG.hugetlb) !== 0;
    const movable = (pageFlags & LONGTERM_PIN) === 0;
    out.pfn = hugetlb ? (this.#pools.get(order)?.pop() ?? -1) : this.allocPages(order, movable);
    out.order = order;
    out.npage = pagesOf(order);
  }

  framesFreed(pfn: Pfn, order: number, pageFlags: number): void {
    const pool = pageFlags & PG.hugetlb ? this.#pools.get(order) : undefined;
    if (pool) pool.push(pfn);
    else this.freePagesAt(pfn, order);
  }

  #hugePage(order: number): Pfn {
    if (order <= this.#maxOrder) return this.allocPages(order, false);
    for (const area of this.#areas) {
      const pfn = area.cma || area.zone === 'MOVABLE' ? -1 : area.takeGigantic(order);
      if (pfn >= 0) return pfn;
    }
    return -1;
  }

  #areaOf(pfn: Pfn): FreeArea | undefined {
    return this.#areaOfRange.find(({ end }) => pfn < end)?.area;
  }

  /** What of a new largest block is free: in a fragmented half, the kernel holds one page. */
  #firstTouch(block: Pfn): (readonly [Pfn, number])[] {
    const maxOrder = this.#maxOrder;
    const half = pagesOf(maxOrder - 1);
    const halves = [block, block + half].map((pfn) => ({
      pfn,
      held: this.#random() < this.#fragmentation ? Math.floor(this.#random() * half) : -1,
    }));
    if (halves.every(({ held }) => held < 0)) return [[block, maxOrder]];
    return halves.flatMap(({ pfn, held }) =>
      held < 0 ? [[pfn, maxOrder - 1] as const] : around(pfn, maxOrder - 1, held),
    );
  }
}

/** The blocks that are left of a block when one of its pages is held. */
function around(pfn: Pfn, order: number, held: number): (readonly [Pfn, number])[] {
  const blocks: (readonly [Pfn, number])[] = [];
  let at = pfn;
  for (let size = order - 1; size >= 0; size--) {
    const upper = at + pagesOf(size);
    const heldAbove = pfn + held >= upper;
    blocks.push([heldAbove ? at : upper, size]);
    if (heldAbove) at = upper;
  }
  return blocks;
}

interface ZonedPart extends MemoryRange {
  readonly zoneName: ZoneName;
  readonly cma: boolean;
}

/** Cuts a range at 4 GiB, and off the bottom of memory. */
function zonedParts(
  { pfn, npage, zone, cma = false }: MemoryRange,
  pageShift: number,
): ZonedPart[] {
  const part = (from: Pfn, to: Pfn, zoneName: ZoneName): ZonedPart[] =>
    from < to ? [{ pfn: from, npage: to - from, zoneName, cma }] : [];
  const first = Math.max(pfn, 2 ** (LOW_SHIFT - pageShift));
  const dma32End = 2 ** (DMA32_SHIFT - pageShift);
  const end = pfn + npage;
  if (zone === 'movable') return part(first, end, 'MOVABLE');
  return [
    ...part(first, Math.min(end, dma32End), 'DMA32'),
    ...part(Math.max(first, dma32End), end, 'NORMAL'),
  ];
}

/**
 * A permutation of 0 to count - 1 without a table: an affine map whose factor has no divisor in
 * common with the count.
 */
function permutation(count: number, random: () => number): (index: number) => number {
  if (count < 2) return (index) => index;
  let factor = 1 + Math.floor(random() * Math.min(count - 1, 2 ** 20));
  while (gcd(factor, count) !== 1) factor++;
  const offset = Math.floor(random() * count);
  return (index) => (index * factor + offset) % count;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
