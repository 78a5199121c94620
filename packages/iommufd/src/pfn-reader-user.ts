/**
 * Pinning of an iopt_pages, at most 32 MiB per call: by address, as the process itself or on its
 * behalf, or folio by folio of a file.
 *
 * @source drivers/iommu/iommufd/pages.c struct pfn_reader_user, pfn_reader_user_pin, pin_memfd_pages,
 * 7.2; reference iommufd.md §3
 */
import { Errno, type PageNumbers } from '@pinfold/base';
import {
  folioOrderOf,
  FOLL,
  memfdPinFolios,
  PinnedFolios,
  pinUserPagesFast,
  pinUserPagesRemote,
  type Task,
} from '@pinfold/mm';
import type { IoptPages } from './pages.ts';
import { MAX_PIN_PAGES } from './pfn-batch.ts';

/** What one reader has pinned and not yet put into a batch. */
export class PfnReaderUser {
  /** Pinned pages by address, the first at index 0; null before the first pin. */
  upages: PageNumbers | null = null;
  /** Pinned folios of a file; null before the first pin. */
  folios: PinnedFolios | null = null;
  /** The next folio of them. */
  nextFolio = 0;
  /** Pages of the next folio that are not wanted, or in a batch already. */
  folioOffset = 0;
  /** Pages that a call may pin, set by the first; 0: not yet. */
  capacity = 0;
  /** First page index that is pinned and in the array. */
  upagesStart = 0;
  /** Page index after the last. */
  upagesEnd = 0;
  readonly #current: Task;

  /** @param current the calling process */
  constructor(current: Task) {
    this.#current = current;
  }

  /**
   * Pins pages.
   *
   * @param pages the pages
   * @param startIndex first page index
   * @param lastIndex last page index, inclusive; fewer may be pinned
   * @param out gets the pages, instead of an array of the reader's own
   * @returns 0, at least one page is pinned then; or a negative errno
   * @source drivers/iommu/iommufd/pages.c pfn_reader_user_pin, 7.2
   */
  pin(
    pages: IoptPages,
    startIndex: number,
    lastIndex: number,
    out: PageNumbers | null = null,
  ): number {
    const { calls } = pages.context;
    calls.enter('pfn_reader_user_pin', startIndex, lastIndex);
    const wanted = lastIndex - startIndex + 1;
    if (this.capacity === 0) this.capacity = out ? out.length : Math.min(wanted, MAX_PIN_PAGES);
    const npages = Math.min(wanted, this.capacity);
    const got = this.#pin(pages, startIndex, npages, out);
    if (got <= 0) {
      this.#refuse(pages, got);
      return calls.exit('pfn_reader_user_pin', got);
    }
    pages.npinned += got;
    this.upagesStart = startIndex;
    this.upagesEnd = startIndex + got;
    return calls.exit('pfn_reader_user_pin', 0);
  }

  #pin(pages: IoptPages, start: number, npages: number, out: PageNumbers | null): number {
    const { source, sourceMm: mm, writable, context } = pages;
    if (source.type === 'file') return this.#pinMemfd(pages, source, start, npages);
    if (source.type === 'dmabuf') return -Errno.EINVAL;
    const upages = (this.upages =
      out ?? this.upages ?? context.memory.memmap.pageArray(this.capacity));
    const flags = FOLL.LONGTERM | (writable ? FOLL.WRITE : 0);
    if (mm === this.#current.mm) {
      return pinUserPagesFast(mm, source.vpn + start, npages, flags, upages);
    }
    // An address space whose process has gone is empty, and nothing of it can be pinned.
    if (mm.mmUsers === 0) return -Errno.EFAULT;
    context.calls.note('pin_user_pages_remote');
    return pinUserPagesRemote(mm, source.vpn + start, npages, flags, upages);
  }

  /** pin_memfd_pages: the folios, and how many of the pages they hold. */
  #pinMemfd(
    pages: IoptPages,
    source: Extract<IoptPages['source'], { type: 'file' }>,
    start: number,
    npages: number,
  ): number {
    const { calls, memory } = pages.context;
    const first = source.pgoff + start;
    calls.enter('pin_memfd_pages', first, 0, npages);
    const folios = (this.folios ??= new PinnedFolios(this.capacity));
    const last = first + npages - 1;
    const beyond = (BigInt(last) + 1n) * 4096n > source.bytes;
    const got = memfdPinFolios(this.#current.mm, source.file, first, last, folios, { beyond });
    if (got <= 0) return calls.exit('pin_memfd_pages', got);
    this.nextFolio = 0;
    this.folioOffset = folios.offset;
    let held = -folios.offset;
    for (let i = 0; i < got; i++) held += 2 ** folioOrderOf(memory.memmap, folios.pfn[i]);
    return calls.exit('pin_memfd_pages', Math.min(held, npages));
  }

  #refuse(pages: IoptPages, ret: number): void {
    const { refusals } = pages.context;
    if (pages.source.type === 'file') {
      const { bytes, pgoff } = pages.source;
      const details = { fileBytes: bytes, firstPage: pgoff, pages: pages.npages };
      refusals.refuse('memfd_pin_folios: the range lies inside a file in memory', -ret, details);
      return;
    }
    const failure = pages.sourceMm.gupFailure;
    refusals.refuse('pfn_reader_user_pin: the pages can be pinned', -ret, {
      ...(failure ? { vpn: failure.vpn, why: failure.why } : {}),
    });
  }
}
