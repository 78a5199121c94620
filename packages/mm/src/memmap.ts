/**
 * The memory map: which pfns have a `struct page`, where it lies, and the state of every page.
 *
 * Memory is organised in sections, of 128 MiB on x86-64. Two memory models decide what a
 * `struct page *` is (CONFIG_SPARSEMEM_VMEMMAP):
 *
 * - `sparsemem-vmemmap`: one virtual array; page = base + pfn, so neighbours in pfn are neighbours
 *   in page.
 * - `sparsemem` (classic): every section has its own array somewhere; page = slot of the section
 *   times its pages plus the offset in the section. The slots are a permutation with gaps:
 *   the arrays of neighbouring sections may be apart, and those of strangers adjacent.
 *
 * Page state is a struct of arrays (`refcount`, `pincount`, `flags`, `order`), in one block per
 * section, made when the section is first touched. A block starts at the stride of its first folio
 * (one entry per 2 MiB folio, not 512) and is rebuilt finer when a smaller folio appears. A folio
 * larger than a section keeps its counts in the entry of its head page.
 *
 * @source reference mm.md §2 and §4; include/asm-generic/memory_model.h, include/linux/mmzone.h, 6.16
 */
import {
  Extents,
  InputError,
  isAligned,
  KernelBug,
  maskedRun,
  ModelBug,
  pageNumbers,
  X86_64,
  type Page,
  type PageGeometry,
  type Pfn,
  type PageNumbers,
} from '@pinfold/base';
import { PageStateArrays, PG } from './page-state.ts';
import { SectionSlots } from './section-slots.ts';
import { checkedRanges, type MemoryRange } from './sections.ts';

/** How the kernel is configured to find a `struct page`. */
export type MemoryModel = 'sparsemem-vmemmap' | 'sparsemem';

/** `sectionBase` of a section without a memory map. */
const ABSENT = -1;
/** `sectionBase` of a section whose pages were never touched: all free, none reserved. */
const UNTOUCHED = -2;

/** Sections, `struct page` arithmetic and per-page state of one machine. */
export class MemMap {
  /** Page size and page-table geometry of the machine. */
  readonly geometry: PageGeometry;
  /** log2 of the pages of a section. */
  readonly sectionOrder: number;
  /** Pages of a section. */
  readonly sectionPages: number;
  /** Pages of a section less one: `pfn & sectionMask` is the place in its section. */
  readonly sectionMask: number;
  /** 1 over the pages of a section, a power of two: `(pfn * perSection) | 0` is its section. */
  readonly perSection: number;
  /** The memory model that the kernel was configured with. */
  readonly model: MemoryModel;
  /** Whether page = base + pfn. The base is 0, so that copying frames makes page pointers of them. */
  readonly vmemmap: boolean;
  /** Per state entry: `_refcount` of the folio, on its head page. Pins of small folios are in it. */
  refcount: Int32Array;
  /** Per state entry: `_pincount` of a large folio, on its head page. */
  pincount: Int32Array;
  /** Per state entry: {@link PG} flags. */
  flags: Uint8Array;
  /** Per state entry: order of the folio that the page belongs to. */
  order: Uint8Array;
  /** `flags`, four entries a word. */
  flagWords: Uint32Array;
  /** `order`, four entries a word. */
  orderWords: Uint32Array;
  /** Per section: index of its first state entry, or below 0 if it has none. */
  sectionBase: Int32Array;
  /** Per section: log2 of the pages that one state entry stands for. */
  sectionStride: Uint8Array;
  /** Per section: 1 if it lies in ZONE_MOVABLE or in a CMA area, where no folio may be pinned for long. */
  readonly sectionMovable: Uint8Array;
  /** Pages of all memory. */
  readonly totalPages: number;
  /** Folios that are in use. */
  folios = 0;
  /** Told of every folio that is freed: its first frame, order and {@link PG} flags. */
  folioFreed: ((pfn: Pfn, order: number, flags: number) => void) | null = null;
  /** Where classic sparsemem has the sections' arrays; null under vmemmap. */
  readonly #slots: SectionSlots | null;
  readonly #arrays: PageStateArrays;
  /** First number after all `struct page` pointers. */
  readonly #pageEnd: number;
  #entries = 0;
  readonly #freeBlocks: number[][];

  /**
   * @param ranges the machine's memory, in pages; sections that no range touches are holes without
   *   a memory map, and pages outside every range in a section that one touches are PG_reserved
   * @param model the memory model
   * @param seed chooses the permutation of the section memmaps under classic sparsemem
   * @param arrays where its state is kept; no other memory map may use them; default: new ones
   * @param geometry page size and page-table geometry of the machine
   * @throws {InputError} when a range is empty, overlaps another or lies above 52 address bits
   */
  constructor(
    ranges: readonly MemoryRange[],
    model: MemoryModel = 'sparsemem-vmemmap',
    seed = 0,
    arrays: PageStateArrays = new PageStateArrays(),
    geometry: PageGeometry = X86_64,
  ) {
    const { sectionOrder, sectionPages } = geometry;
    this.geometry = geometry;
    this.sectionOrder = sectionOrder;
    this.sectionPages = sectionPages;
    this.sectionMask = sectionPages - 1;
    this.perSection = 1 / sectionPages;
    this.#freeBlocks = Array.from({ length: sectionOrder + 1 }, () => []);
    this.#arrays = arrays;
    arrays.clear();
    this.refcount = arrays.refcount;
    this.pincount = arrays.pincount;
    this.flags = arrays.flags;
    this.order = arrays.order;
    this.flagWords = new Uint32Array(this.flags.buffer);
    this.orderWords = new Uint32Array(this.order.buffer);
    this.model = model;
    this.vmemmap = model === 'sparsemem-vmemmap';
    const sorted = checkedRanges(ranges, geometry.pageShift);
    const end = sorted.reduce((max, range) => Math.max(max, range.pfn + range.npage), 0);
    const sections = Math.ceil(end / sectionPages);
    this.sectionBase = new Int32Array(sections).fill(ABSENT);
    this.sectionStride = new Uint8Array(sections);
    this.sectionMovable = new Uint8Array(sections);
    this.totalPages = sorted.reduce((sum, { npage }) => sum + npage, 0);
    for (const range of sorted) this.#addRange(range);
    this.#reserveOutside(sorted);
    const present = (section: number): boolean => this.sectionBase[section] !== ABSENT;
    this.#slots = this.vmemmap ? null : new SectionSlots(sections, present, seed);
    this.#pageEnd = (this.#slots?.count ?? sections) * sectionPages;
  }

  /**
   * Whether a `struct page` exists for a pfn. Says nothing about RAM: an early section is valid as
   * a whole, and device memory has none.
   *
   * @param pfn page frame
   * @returns true if it has a memory map
   * @source include/linux/mmzone.h pfn_valid, 6.16
   */
  pfnValid(pfn: Pfn): boolean {
    const section = (pfn * this.perSection) | 0;
    return section < this.sectionBase.length && this.sectionBase[section] !== ABSENT;
  }

  /**
   * PageReserved of a valid pfn.
   *
   * @param pfn page frame with a memory map
   * @returns true if PG_reserved is set
   * @source include/linux/page-flags.h PageReserved, 6.16
   */
  pageReserved(pfn: Pfn): boolean {
    const section = (pfn * this.perSection) | 0;
    const base = this.sectionBase[section];
    if (base < 0) return false;
    const entry = base + ((pfn & this.sectionMask) >>> this.sectionStride[section]);
    return (this.flags[entry] & PG.reserved) !== 0;
  }

  /**
   * pfn_to_page.
   *
   * @param pfn page frame with a memory map
   * @returns its `struct page`
   * @source include/asm-generic/memory_model.h __pfn_to_page, 6.16
   */
  pfnToPage(pfn: Pfn): Page {
    if (this.vmemmap) return pfn as number;
    const section = Math.floor(pfn / this.sectionPages);
    const slot = this.#slots?.slotOf(section) ?? 0;
    if (slot === 0) throw new KernelBug('pfn_to_page', `pfn ${pfn} has no memory map`);
    return slot * this.sectionPages + (pfn - section * this.sectionPages);
  }

  /**
   * page_to_pfn.
   *
   * @param page a `struct page`
   * @returns its page frame
   * @throws {KernelBug} under classic sparsemem for a page that lies in no section's memmap
   * @source include/asm-generic/memory_model.h __page_to_pfn, 6.16
   */
  pageToPfn(page: Page): Pfn {
    if (this.vmemmap) return page as number;
    const section = this.sectionOfPage(page);
    return section * this.sectionPages + (page % this.sectionPages);
  }

  /**
   * page_to_section: the section number that classic sparsemem keeps in the page flags. It is 0
   * for every page under vmemmap, where nothing needs it (memdesc_section in 6.18).
   *
   * @param page a `struct page`
   * @returns its section number
   * @source include/linux/mm.h page_to_section, 6.16
   */
  sectionOfPage(page: Page): number {
    if (this.#slots === null) return 0;
    const section = this.#slots.sectionOf(Math.floor(page / this.sectionPages));
    if (section < 0)
      throw new KernelBug('page_to_pfn', `struct page ${page} lies in no section's memmap`);
    return section;
  }

  /**
   * An array for `struct page` pointers of this machine, as a caller of GUP hands it in.
   *
   * @param length number of pointers
   * @returns the array
   */
  pageArray(length: number): PageNumbers {
    return pageNumbers(length, this.#pageEnd);
  }

  /**
   * Room for extents of this machine's memory.
   *
   * @param capacity number of extents
   * @returns no extents yet
   */
  extents(capacity: number): Extents {
    const end = this.sectionBase.length * this.sectionPages;
    return new Extents(pageNumbers(capacity, end), new Int32Array(capacity));
  }

  /**
   * State entry of a page, made if its section was never touched.
   *
   * @param pfn page frame with a memory map
   * @returns index into `flags` and `order`; into the counts only if the page is a folio's head
   */
  entryOf(pfn: Pfn): number {
    const section = (pfn * this.perSection) | 0;
    const base = this.sectionBase[section];
    if (base < 0) return this.#touch(pfn, section);
    return base + ((pfn & this.sectionMask) >>> this.sectionStride[section]);
  }

  /**
   * State entry of the head page of the folio that a page belongs to (page_folio).
   *
   * @param pfn page frame with a memory map
   * @returns index into `refcount`, `pincount`, `flags` and `order`
   * @source include/linux/page-flags.h page_folio, 6.16
   */
  headEntryOf(pfn: Pfn): number {
    const section = (pfn * this.perSection) | 0;
    const base = this.sectionBase[section];
    if (base < 0) return this.#touch(pfn, section);
    const offset = pfn & this.sectionMask;
    const stride = this.sectionStride[section];
    const order = this.order[base + (offset >>> stride)];
    if (order <= stride) return base + (offset >>> stride);
    if (order <= this.sectionOrder) return base + (((offset >>> order) << order) >>> stride);
    return this.entryOf(pfn - (pfn % 2 ** order));
  }

  /**
   * log2 of the pages that one state entry of a page's section stands for.
   *
   * @param pfn page frame of a section that was touched
   * @returns 0 to the order of a section
   */
  strideOf(pfn: Pfn): number {
    return this.sectionStride[(pfn * this.perSection) | 0];
  }

  /**
   * Tests page after page whether it is invalid or reserved (no memory map, or PG_reserved), while
   * the answer is the wanted one.
   *
   * @param pfn first page frame
   * @param npage pages to test, at least 1
   * @param wanted the answer that continues the run
   * @returns pages from the first on with that answer, 0 to npage
   * @source drivers/vfio/vfio_iommu_type1.c is_invalid_reserved_pfn, 6.16
   */
  invalidOrReservedRun(pfn: Pfn, npage: number, wanted: boolean): number {
    for (let done = 0; done < npage;) {
      const at = pfn + done;
      const offset = (at & this.sectionMask) | 0;
      const n = Math.min(npage - done, this.sectionPages - offset) | 0;
      const run = this.#reservedRunInSection((at * this.perSection) | 0, offset, n, wanted);
      done += run;
      if (run < n) return done;
    }
    return npage;
  }

  #reservedRunInSection(section: number, offset: number, npage: number, wanted: boolean): number {
    const base = section < this.sectionBase.length ? this.sectionBase[section] : ABSENT;
    if (base < 0) return (base === ABSENT) === wanted ? npage : 0;
    const { flags } = this;
    const want = wanted ? PG.reserved : 0;
    const stride = this.sectionStride[section];
    const end = offset + npage;
    if (stride === 0) {
      return maskedRun(flags, this.flagWords, base + offset, base + end, PG.reserved, want);
    }
    let at = offset;
    while (at < end) {
      // The pages of one state entry, tested one by one.
      const entry = base + (at >>> stride);
      const last = Math.min(end, ((at >>> stride) + 1) << stride) | 0;
      while (at < last && (flags[entry] & PG.reserved) === want) at++;
      if (at < last) break;
    }
    return at - offset;
  }

  /**
   * Whether a folio may stay where it is under a longterm pin.
   *
   * @param pfn any page of the folio
   * @returns false in ZONE_MOVABLE and in CMA areas
   * @source include/linux/mm.h folio_is_longterm_pinnable, 6.16
   */
  longtermPinnable(pfn: Pfn): boolean {
    return this.sectionMovable[(pfn * this.perSection) | 0] === 0;
  }

  /**
   * Makes free pages a folio with one reference.
   *
   * @param pfn head page frame, aligned to the order
   * @param order folio order
   * @param flags {@link PG} flags of the folio
   * @returns state entry of the head
   * @throws {InputError} when the pages are no memory, reserved or already part of a folio
   */
  allocFolio(pfn: Pfn, order: number, flags: number): number {
    if (!isAligned(pfn, order))
      throw new ModelBug(`folio of order ${order} at unaligned pfn ${pfn}`);
    const end = pfn + 2 ** order;
    for (let at = pfn; at < end; at += this.sectionPages) {
      this.#allocInSection(at, Math.min(order, this.sectionOrder), order, flags);
    }
    const head = this.entryOf(pfn);
    this.refcount[head] = 1;
    this.folios++;
    return head;
  }

  /**
   * Frees a folio whose last reference went: its pages are free order-0 pages again.
   *
   * @param pfn any page of the folio
   */
  freeFolio(pfn: Pfn): void {
    const entry = this.headEntryOf(pfn);
    const order = this.order[entry];
    const flags = this.flags[entry];
    this.folios--;
    if (order === 0) {
      this.refcount[entry] = this.pincount[entry] = this.flags[entry] = 0;
      this.folioFreed?.(pfn, order, flags);
      return;
    }
    const head = pfn - (pfn % 2 ** order);
    for (let at = head; at < head + 2 ** order; at += this.sectionPages) {
      const from = this.entryOf(at);
      const to = from + ((2 ** Math.min(order, this.sectionOrder)) >>> this.strideOf(at));
      for (const field of [this.refcount, this.pincount, this.flags, this.order]) {
        field.fill(0, from, Math.max(to, from + 1));
      }
    }
    this.folioFreed?.(head, order, flags);
  }

  /**
   * Marks pages PG_reserved, as a driver or firmware does with memory of its own.
   *
   * @param pfn first page frame
   * @param npage number of pages
   */
  reservePages(pfn: Pfn, npage: number): void {
    const end = pfn + npage;
    for (let at = pfn; at < end;) {
      this.#refine(at, 0);
      const from = this.entryOf(at);
      const inSection = this.sectionPages - (at & this.sectionMask);
      const to = from + Math.min(end - at, inSection);
      this.#arrays.use(from, to);
      for (let entry = from; entry < to; entry++) this.flags[entry] |= PG.reserved;
      at += inSection;
    }
  }

  /**
   * Every head page that holds references, with its counts, in pfn order: for invariants.
   *
   * @returns one record per folio in use
   */
  *foliosInUse(): Generator<{
    pfn: Pfn;
    order: number;
    refcount: number;
    pincount: number;
    flags: number;
  }> {
    for (let section = 0; section < this.sectionBase.length; section++) {
      const base = this.sectionBase[section];
      if (base < 0) continue;
      const stride = this.sectionStride[section];
      const end = base + (this.sectionPages >>> stride);
      for (let entry = this.#inUse(base, end); entry < end; entry = this.#inUse(entry + 1, end)) {
        const refcount = this.refcount[entry];
        const pincount = this.pincount[entry];
        const pfn = section * this.sectionPages + ((entry - base) << stride);
        yield { pfn, order: this.order[entry], refcount, pincount, flags: this.flags[entry] };
      }
    }
  }

  /**
   * Makes room for the state of pages beforehand.
   *
   * @param npage pages that will be touched
   * @param order order of their folios
   */
  reserveState(npage: number, order: number): void {
    this.#grow(this.#entries + Math.ceil(npage / 2 ** Math.min(order, this.sectionOrder)));
  }

  /** First state entry from one on that holds references; `end` without one. */
  #inUse(from: number, end: number): number {
    const { refcount, pincount } = this;
    const few = end - 3;
    let entry = from;
    for (; entry < few; entry += 4) {
      const refs =
        refcount[entry] | refcount[entry + 1] | refcount[entry + 2] | refcount[entry + 3];
      const pins =
        pincount[entry] | pincount[entry + 1] | pincount[entry + 2] | pincount[entry + 3];
      if ((refs | pins) !== 0) break;
    }
    while (entry < end && (refcount[entry] | pincount[entry]) === 0) entry++;
    return entry;
  }

  #addRange(range: MemoryRange): void {
    const first = Math.floor(range.pfn / this.sectionPages);
    const last = Math.floor((range.pfn + range.npage - 1) / this.sectionPages);
    this.sectionBase.fill(UNTOUCHED, first, last + 1);
    if (range.zone === 'movable' || range.cma) this.sectionMovable.fill(1, first, last + 1);
  }

  /** Pages of a present section that are in no range get PG_reserved, as early holes do at boot. */
  #reserveOutside(sorted: readonly MemoryRange[]): void {
    let covered = 0;
    const gap = (from: number, to: number): void => {
      const firstEnd = Math.min(to, Math.ceil(from / this.sectionPages) * this.sectionPages);
      const lastStart = Math.floor(to / this.sectionPages) * this.sectionPages;
      this.#reserveIfPresent(from, firstEnd);
      this.#reserveIfPresent(Math.max(lastStart, firstEnd), to);
    };
    for (const range of sorted) {
      gap(covered, range.pfn);
      covered = range.pfn + range.npage;
    }
    gap(covered, this.sectionBase.length * this.sectionPages);
  }

  #reserveIfPresent(from: Pfn, to: Pfn): void {
    if (from < to && this.pfnValid(from)) this.reservePages(from, to - from);
  }

  #touch(pfn: Pfn, section: number): number {
    if (!this.pfnValid(pfn)) throw new KernelBug('pfn_to_page', `pfn ${pfn} has no memory map`);
    this.#makeBlock(section, this.sectionOrder);
    return this.entryOf(pfn);
  }

  #allocInSection(pfn: Pfn, inSection: number, order: number, flags: number): void {
    if (!this.pfnValid(pfn)) {
      throw new InputError(
        `frame ${pfn}`,
        'a page of the machine’s memory',
        'a pfn without memory map',
      );
    }
    this.#refine(pfn, inSection);
    const from = this.entryOf(pfn);
    const to = from + 2 ** (inSection - this.strideOf(pfn));
    this.#arrays.use(from, to);
    for (let entry = from; entry < to; entry++) {
      if (this.flags[entry] !== 0 || this.refcount[entry] !== 0 || this.order[entry] !== 0) {
        throw new InputError(
          `frame ${pfn}`,
          'free pages for a folio',
          'pages that are reserved or in use',
        );
      }
      this.order[entry] = order;
      this.flags[entry] = flags;
    }
  }

  /** Makes sure that the section's state has one entry per 2^order pages or finer. */
  #refine(pfn: Pfn, order: number): void {
    const section = (pfn * this.perSection) | 0;
    const old = this.sectionBase[section];
    if (old < 0) {
      this.#makeBlock(section, order);
      return;
    }
    const stride = this.sectionStride[section];
    if (stride <= order) return;
    this.#makeBlock(section, order);
    const base = this.sectionBase[section];
    for (let i = 0; i < this.sectionPages >>> stride; i++) {
      if ((this.refcount[old + i] | this.flags[old + i] | this.order[old + i]) === 0) continue;
      const first = base + ((i << stride) >>> order);
      const next = first + (1 << (stride - order));
      this.#arrays.use(first, next);
      this.refcount[first] = this.refcount[old + i];
      this.pincount[first] = this.pincount[old + i];
      this.flags.fill(this.flags[old + i], first, next);
      this.order.fill(this.order[old + i], first, next);
    }
    this.#freeBlocks[stride].push(old);
  }

  #makeBlock(section: number, stride: number): void {
    const size = this.sectionPages >>> stride;
    let base = this.#freeBlocks[stride].pop();
    if (base === undefined) {
      base = this.#entries;
      this.#entries += size;
      if (this.#entries > this.refcount.length) this.#grow(Math.ceil(this.#entries * 1.25));
    } else {
      for (const field of [this.refcount, this.pincount, this.flags, this.order]) {
        field.fill(0, base, base + size);
      }
    }
    this.sectionBase[section] = base;
    this.sectionStride[section] = stride;
  }

  #grow(entries: number): void {
    if (entries <= this.refcount.length) return;
    const arrays = this.#arrays;
    arrays.grow(Math.ceil(entries / 4) * 4);
    this.refcount = arrays.refcount;
    this.pincount = arrays.pincount;
    this.flags = arrays.flags;
    this.order = arrays.order;
    this.flagWords = new Uint32Array(this.flags.buffer);
    this.orderWords = new Uint32Array(this.order.buffer);
  }
}
