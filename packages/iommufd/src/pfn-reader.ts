/**
 * pfn_reader: the frames of a slice of an iopt_pages, batch by batch. What is pinned already is read
 * from the xarray or from a domain, everything else is pinned.
 *
 * @source drivers/iommu/iommufd/pages.c struct pfn_reader, 7.2; reference iommufd.md §3
 */
import { Errno } from '@pinfold/base';
import { folioAddPins, folioOrderOf, unpinUserPages, type Task } from '@pinfold/mm';
import { batchFromDomain, batchUnpin } from './batch-domain.ts';
import { updatePinned } from './accounting.ts';
import { doubleSpanAt, type DoubleSpan } from './interval-tree.ts';
import type { IoptPages } from './pages.ts';
import { BATCH_KIND, PfnBatch } from './pfn-batch.ts';
import { PfnReaderUser } from './pfn-reader-user.ts';

/** Reads the frames of a slice of pages. */
export class PfnReader {
  /** What it has read. */
  readonly batch: PfnBatch;
  /** First page index of the batch. */
  batchStartIndex: number;
  /** Page index after the last of the batch. */
  batchEndIndex: number;
  readonly #pages: IoptPages;
  readonly #lastIndex: number;
  readonly #user: PfnReaderUser;
  #span: DoubleSpan;

  /**
   * @param pages the pages
   * @param startIndex first page index
   * @param lastIndex last page index, inclusive
   * @param current the calling process
   */
  constructor(pages: IoptPages, startIndex: number, lastIndex: number, current: Task) {
    this.#pages = pages;
    this.batchStartIndex = this.batchEndIndex = startIndex;
    this.#lastIndex = lastIndex;
    this.batch = new PfnBatch(lastIndex - startIndex + 1);
    this.#user = new PfnReaderUser(current);
    this.#span = this.#spanAt(startIndex);
  }

  /**
   * Reads the first batch.
   *
   * @returns 0, or a negative errno: then nothing of the slice is pinned by it
   * @source drivers/iommu/iommufd/pages.c pfn_reader_first, 7.2
   */
  first(): number {
    const { calls } = this.#pages.context;
    calls.enter('pfn_reader_first', this.batchStartIndex, this.#lastIndex);
    const ret = this.next();
    if (ret !== 0) this.destroy();
    return calls.exit('pfn_reader_first', ret);
  }

  /** Whether everything has been read. */
  get done(): boolean {
    return this.batchStartIndex === this.#lastIndex + 1;
  }

  /**
   * Reads the next batch: as much as fits it.
   *
   * @returns 0, or a negative errno
   * @source drivers/iommu/iommufd/pages.c pfn_reader_next, 7.2
   */
  next(): number {
    const { calls } = this.#pages.context;
    calls.enter('pfn_reader_next');
    return calls.exit('pfn_reader_next', this.#fill());
  }

  #fill(): number {
    const { batch } = this;
    batch.clear();
    this.batchStartIndex = this.batchEndIndex;
    while (this.batchEndIndex !== this.#lastIndex + 1) {
      const npfns = batch.totalPfns;
      const ret = this.#fillSpan();
      if (ret !== 0) return ret;
      this.batchEndIndex = this.batchStartIndex + batch.totalPfns;
      // What did not fit stays for the next batch.
      if (npfns === batch.totalPfns) return 0;
      if (this.batchEndIndex > this.#lastIndex) return 0;
      if (this.batchEndIndex === this.#span.last + 1) this.#span = this.#spanAt(this.batchEndIndex);
    }
    return 0;
  }

  #spanAt(index: number): DoubleSpan {
    const { accessTree, domainsTree } = this.#pages;
    return doubleSpanAt(accessTree, domainsTree, index, this.#lastIndex);
  }

  /** pfn_reader_fill_span: puts frames of the span into the batch, and pins first what is not. */
  #fillSpan(): number {
    const pages = this.#pages;
    const { calls } = pages.context;
    calls.enter('pfn_reader_fill_span');
    return calls.exit('pfn_reader_fill_span', this.#fillFrom(this.batchEndIndex));
  }

  #fillFrom(startIndex: number): number {
    const pages = this.#pages;
    const { used, last } = this.#span;
    if (used === 1) {
      this.#fromXarray(startIndex, last);
      return 0;
    }
    if (used === 2) {
      // The domain of the first area that covers the page.
      const node = pages.domainsTree.first(startIndex, startIndex);
      const domain = node?.area.storageDomain;
      if (!node || !domain) return -Errno.EINVAL;
      batchFromDomain(this.batch, domain, node.area, startIndex, Math.min(node.last, last));
      return 0;
    }
    if (pages.source.type === 'dmabuf') return this.#fillDmabuf(startIndex, last);
    const user = this.#user;
    if (startIndex >= user.upagesEnd) {
      const ret = user.pin(pages, startIndex, last);
      if (ret !== 0) return ret;
    }
    const npages = user.upagesEnd - startIndex;
    return pages.source.type === 'file' ? this.#fromFolios(npages) : this.#fromPages(startIndex);
  }

  #fromXarray(start: number, last: number): void {
    const { context, pinnedPfns } = this.#pages;
    context.calls.call('batch_from_xarray', start, last);
    for (let index = start; index <= last; index++) {
      if (!this.batch.addNum(pinnedPfns.get(index), 1)) return;
    }
  }

  #fromPages(startIndex: number): number {
    const { calls, memory } = this.#pages.context;
    const { upages, upagesStart, upagesEnd } = this.#user;
    const npages = upagesEnd - startIndex;
    calls.call('batch_from_pages', npages, this.batch.end);
    if (upages) this.batch.addPages(memory.memmap, upages, startIndex - upagesStart, npages);
    return 0;
  }

  /** batch_from_folios: one range per folio, which gets the other pins that its pages need. */
  #fromFolios(npages: number): number {
    const { calls, memory } = this.#pages.context;
    const user = this.#user;
    const { folios } = user;
    if (!folios) return 0;
    calls.enter('batch_from_folios', npages, this.batch.end);
    for (let left = npages; left > 0; user.nextFolio++) {
      const pfn = folios.pfn[user.nextFolio];
      const size = 2 ** folioOrderOf(memory.memmap, pfn);
      const nr = Math.min(size - user.folioOffset, left);
      if (!this.batch.addNum(pfn + user.folioOffset, nr)) break;
      if (nr > 1) {
        const ret = folioAddPins(memory, pfn, nr - 1);
        if (ret !== 0) return calls.exit('batch_from_folios', ret);
      }
      user.folioOffset = 0;
      left -= nr;
    }
    return calls.exit('batch_from_folios');
  }

  /** pfn_reader_fill_dmabuf: one range of device memory, which is not pinned. */
  #fillDmabuf(startIndex: number, lastIndex: number): number {
    const pages = this.#pages;
    const { calls, refusals } = pages.context;
    if (pages.source.type !== 'dmabuf') return -Errno.EINVAL;
    calls.call('pfn_reader_fill_dmabuf', startIndex, lastIndex);
    const { dmabuf, pgoff } = pages.source;
    if (pages.revoked || dmabuf.bar === null) {
      return refusals.refuse('iopt_map_dmabuf: the buffer is not revoked', Errno.ENODEV);
    }
    const pfn = dmabuf.bar.pfn + dmabuf.offset + pgoff + startIndex;
    this.batch.addNum(pfn, lastIndex - startIndex + 1, BATCH_KIND.MMIO);
    return 0;
  }

  /**
   * Unpins what this reader has pinned and nobody has taken over.
   *
   * @source drivers/iommu/iommufd/pages.c pfn_reader_release_pins, 7.2
   */
  releasePins(): void {
    const pages = this.#pages;
    const { calls, memory } = pages.context;
    const user = this.#user;
    calls.enter('pfn_reader_release_pins');
    const rest = user.upagesEnd - this.batchEndIndex;
    if (!pages.isDmabuf && rest > 0) {
      const from = this.batchEndIndex - user.upagesStart;
      if (pages.source.type === 'file') this.#unpinFolios();
      else if (user.upages) unpinUserPages(memory, user.upages, rest, from);
      pages.npinned -= rest;
      user.upagesEnd = this.batchEndIndex;
    }
    if (this.batchStartIndex !== this.batchEndIndex) {
      this.unpin();
      this.batchStartIndex = this.batchEndIndex;
    }
    calls.exit('pfn_reader_release_pins');
  }

  /** unpin_folios: folios that are in no batch hold one pin each. */
  #unpinFolios(): void {
    const { memory } = this.#pages.context;
    const { folios, nextFolio } = this.#user;
    for (let i = nextFolio; folios && i < folios.count; i++) {
      unpinUserPages(memory, Float64Array.of(memory.memmap.pfnToPage(folios.pfn[i])), 1);
    }
  }

  /**
   * Unpins those pages of the batch that no access and no domain holds.
   *
   * @source drivers/iommu/iommufd/pages.c pfn_reader_unpin, 7.2
   */
  unpin(): void {
    const pages = this.#pages;
    const { calls } = pages.context;
    if (pages.isDmabuf) return;
    const { batchStartIndex: start, batchEndIndex: end } = this;
    calls.enter('pfn_reader_unpin');
    for (let at = start; at < end;) {
      const span = doubleSpanAt(pages.accessTree, pages.domainsTree, at, end - 1);
      if (span.used === 0) batchUnpin(this.batch, pages, at - start, span.last - at + 1);
      at = span.last + 1;
    }
    calls.exit('pfn_reader_unpin');
  }

  /**
   * Accounts for what was pinned.
   *
   * @returns 0 or a negative errno
   * @source drivers/iommu/iommufd/pages.c pfn_reader_update_pinned, 7.2
   */
  updatePinned(): number {
    return this.#pages.isDmabuf ? 0 : updatePinned(this.#pages);
  }

  /**
   * Ends it.
   *
   * @source drivers/iommu/iommufd/pages.c pfn_reader_destroy, 7.2
   */
  destroy(): void {
    this.releasePins();
  }
}
