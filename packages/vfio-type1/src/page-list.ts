/**
 * What the page-list algorithm remembers of a mapping: the scatter list of its pages. Some are in use,
 * which begin after those that have been released; behind them come pages that no chunk has taken.
 *
 * @source reference strategies.md (h); drivers/infiniband/core/umem.c struct ib_umem, 6.16
 */
import { ModelBug, type IovaPn, type Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { SgAppendTable, unpinUserPageRangeDirtyLock } from '@pinfold/mm';
import type { VfioDma } from './dma.ts';
import type { PinnedChunk } from './pin-chunk.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { vpfnPages } from './vpfn-pages.ts';

/** The pages of one mapping, in the order of their addresses. */
export class PageList {
  /** The scatter list. Addresses without pages are those of devices, which hold no pin. */
  readonly table: SgAppendTable = new SgAppendTable();
  /** Pages unpinned by the last release. */
  unlocked = 0;
  /** Of those, pages that devices without an IOMMU have pinned too; 0 if they were not counted. */
  locked = 0;
  readonly #iovaPn: IovaPn;
  /** Index of the first page that is in use. */
  #start = 0;
  /** Index after the last page that is in use. */
  #inUse = 0;
  /** Index of the first page that no chunk has taken. */
  #next = 0;

  /** @param iovaPn I/O virtual page of the first page of the list */
  constructor(iovaPn: IovaPn) {
    this.#iovaPn = iovaPn;
  }

  /**
   * Takes the next chunk out of the list: what is left of an entry.
   *
   * @param max pages wanted at most
   * @param chunk gets the chunk
   */
  take(max: number, chunk: PinnedChunk): void {
    const { table } = this;
    const at = table.entryOf(this.#next);
    const skipped = this.#next - table.first[at];
    chunk.pfnBase = table.pfn[at] + skipped;
    chunk.pinned = Math.min(max, table.npage[at] - skipped);
    chunk.rsvd = table.hasPages[at] === 0;
    this.#next += chunk.pinned;
    this.#inUse = this.#next;
  }

  /**
   * The frame of a page.
   *
   * @param iovaPn its I/O virtual page
   * @returns its page frame
   */
  pfnAt(iovaPn: IovaPn): Pfn {
    const index = iovaPn - this.#iovaPn;
    const at = this.table.entryOf(index);
    return this.table.pfn[at] + index - this.table.first[at];
  }

  /**
   * Unpins pages in use: from their start, as an unmap goes, or the last chunk, which could not be
   * mapped. What lies before the pages of an unmap was not unmapped and stays pinned.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage number of pages; what lies behind the pages in use is not touched
   * @param count whether to count external pins in `locked`
   */
  release(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number, count: boolean): void {
    this.unlocked = this.locked = 0;
    const from = iovaPn - this.#iovaPn;
    const end = Math.min(from + npage, this.#inUse);
    this.#unpin(iommu, dma, from, end, count);
    if (from > this.#start && end === this.#inUse) this.#inUse = from;
    else this.#start = end;
  }

  /**
   * Unpins everything that is left: in use, or never taken.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param count whether to count external pins in `locked`
   */
  releaseAll(iommu: VfioIommu, dma: VfioDma, count: boolean): void {
    this.unlocked = this.locked = 0;
    this.#unpin(iommu, dma, this.#start, this.#inUse, count);
    this.#unpin(iommu, dma, this.#next, this.table.pages, count);
    this.#start = this.#inUse;
    this.#next = this.table.pages;
  }

  /** One range unpin per entry that has pages. */
  #unpin(iommu: VfioIommu, dma: VfioDma, from: number, end: number, count: boolean): void {
    const { table } = this;
    const { memory } = iommu;
    const dirty = (dma.prot & IOMMU.WRITE) !== 0;
    let entry = from < end ? table.entryOf(from) : 0;
    for (let at = from; at < end; entry++) {
      const skipped = at - table.first[entry];
      const npage = Math.min(end - at, table.npage[entry] - skipped);
      if (table.hasPages[entry] === 1) {
        const page = memory.memmap.pfnToPage(table.pfn[entry] + skipped);
        unpinUserPageRangeDirtyLock(memory, page, npage, dirty);
        this.unlocked += npage;
        if (count) this.locked += vpfnPages(iommu, dma, this.#iovaPn + at, npage);
      }
      at += npage;
    }
  }
}

/**
 * The list of a mapping.
 *
 * @param dma the mapping
 * @returns its list
 * @throws {ModelBug} when nothing of it is pinned
 */
export function pageListOf(dma: VfioDma): PageList {
  if (dma.pinState instanceof PageList) return dma.pinState;
  throw new ModelBug(`the mapping at iova page ${dma.iovaPn} has no page list`);
}
