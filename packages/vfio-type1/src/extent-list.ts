/**
 * What the extent algorithm remembers of a mapping: its extents, in the order of their addresses, so
 * that an unmap needs no frame from the IOMMU. They take eight bytes each where all frames are below
 * 8 TiB, and twelve elsewhere, in blocks that are at least three quarters full. Addresses are not stored, because
 * extents go from one end to the other, and are released so.
 *
 * @source reference strategies.md (j)
 */
import { ModelBug, Slot, type Extents, type IovaPn, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { unpinExtent, unpinExtents } from '@pinfold/mm';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { vpfnPages } from './vpfn-pages.ts';

/** Extents of a block that grows extent by extent. */
const BLOCK = 512;

/** The extents of one mapping. */
export class ExtentList {
  /** Pages unpinned by the last release. */
  unlocked = 0;
  /** Of those, pages that devices without an IOMMU have pinned too; 0 if they were not counted. */
  locked = 0;
  readonly #blocks: Extents[] = [];
  /** I/O virtual page of the first page that was not released. */
  #start: IovaPn;
  /** Where that page lies: block, extent, page in the extent. */
  #block = 0;
  #at = 0;
  #gone = 0;

  /** @param iovaPn I/O virtual page of the first page of the list */
  constructor(iovaPn: IovaPn) {
    this.#start = iovaPn;
  }

  /** Its blocks. */
  get blocks(): readonly Extents[] {
    return this.#blocks;
  }

  /** Bytes of its typed arrays. */
  get bytes(): number {
    return this.#blocks.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Frame of the first page that was not released. */
  get pfn(): Pfn {
    return this.#blocks[this.#block].pfn[this.#at] + this.#gone;
  }

  /**
   * Puts a block behind what the list has.
   *
   * @param block extents, at least one; they are the list's now
   */
  push(block: Extents): void {
    this.#blocks.push(block);
  }

  /**
   * Puts an extent behind what the list has: where it goes on with the last one, that one grows.
   *
   * @param iommu the container's state
   * @param extent one extent
   */
  append({ memory }: VfioIommu, { pfn, npage }: Extents): void {
    const pinned = npage[0] > 0;
    if (this.#blocks.at(-1)?.add(pfn[0], Math.abs(npage[0]), pinned)) return;
    const block = memory.memmap.extents(BLOCK);
    block.add(pfn[0], Math.abs(npage[0]), pinned);
    this.#blocks.push(block);
  }

  /**
   * Unpins pages at the beginning or at the end of what was not released.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param iovaPn I/O virtual page of the first page
   * @param npage number of pages
   * @param count whether to count external pins in `locked`
   */
  release(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number, count: boolean): void {
    this.unlocked = this.locked = 0;
    const fromStart = iovaPn === this.#start;
    for (let left = npage; left > 0;) {
      const n = fromStart
        ? this.#releaseFirst(iommu, dma, left, count)
        : this.#releaseLast(iommu, dma, iovaPn + left, left, count);
      if (n === 0) throw new ModelBug(`${left} pages at iova page ${iovaPn} are in no extent`);
      left -= n;
    }
  }

  /** Releases pages from the beginning on, at most those of one block; returns how many. */
  #releaseFirst(iommu: VfioIommu, dma: VfioDma, max: number, count: boolean): number {
    if (this.#block === this.#blocks.length) return 0;
    const block = this.#blocks[this.#block];
    const from = this.#at;
    let pages = 0;
    let to = from;
    if (this.#gone === 0) {
      for (; to < block.count; to++) {
        const length = Math.abs(block.npage[to]);
        if (pages + length > max) break;
        pages += length;
      }
    }
    if (to > from) this.#unpin(iommu, dma, block, from, to, count);
    else {
      pages = Math.min(max, Math.abs(block.npage[from]) - this.#gone);
      this.#unpinPart(iommu, dma, block, from, this.#gone, pages, this.#start, count);
      this.#gone += pages;
      if (this.#gone === Math.abs(block.npage[from])) {
        this.#gone = 0;
        to++;
      }
    }
    this.#at = to;
    if (to === block.count) {
      this.#block++;
      this.#at = 0;
    }
    this.#start += pages;
    return pages;
  }

  /** Releases pages from the end back, at most those of one extent; returns how many. */
  #releaseLast(iommu: VfioIommu, dma: VfioDma, end: IovaPn, max: number, count: boolean): number {
    const block = this.#blocks.at(-1);
    if (block === undefined) return 0;
    const last = block.count - 1;
    const length = Math.abs(block.npage[last]);
    const pages = Math.min(max, length);
    this.#unpinPart(iommu, dma, block, last, length - pages, pages, end - pages, count);
    block.npage[last] -= Math.sign(block.npage[last]) * pages;
    if (pages === length) block.count--;
    if (block.count === 0) this.#blocks.pop();
    return pages;
  }

  /** Unpins whole extents. */
  #unpin(
    iommu: VfioIommu,
    dma: VfioDma,
    block: Extents,
    from: number,
    to: number,
    count: boolean,
  ): void {
    const dirty = (dma.prot & IOMMU.WRITE) !== 0;
    iommu.counters.add(Slot.extentReads, to - from);
    this.unlocked += unpinExtents(iommu.memory, block, from, to, dirty);
    let iovaPn = this.#start;
    for (let i = from; i < to && count; i++) {
      const length = block.npage[i];
      if (length > 0) this.locked += vpfnPages(iommu, dma, iovaPn, length);
      iovaPn += Math.abs(length);
    }
  }

  /** Unpins a part of an extent. */
  #unpinPart(
    iommu: VfioIommu,
    dma: VfioDma,
    { pfn, npage }: Extents,
    at: number,
    skip: number,
    pages: number,
    iovaPn: IovaPn,
    count: boolean,
  ): void {
    iommu.counters.add(Slot.extentReads, 1);
    if (npage[at] < 0) return;
    unpinExtent(iommu.memory, pfn[at] + skip, pages, (dma.prot & IOMMU.WRITE) !== 0);
    this.unlocked += pages;
    if (count) this.locked += vpfnPages(iommu, dma, iovaPn, pages);
  }
}

/**
 * The extents of a mapping.
 *
 * @param dma the mapping
 * @returns its list; an empty one if nothing of it is pinned
 */
export function extentsOf(dma: VfioDma): ExtentList {
  if (dma.pinState instanceof ExtentList) return dma.pinState;
  const list = new ExtentList(dma.iovaPn);
  dma.pinState = list;
  return list;
}
