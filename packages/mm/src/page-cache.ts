/**
 * Files and memfds: the page cache, and the faults of their shared and private mappings.
 *
 * A folio is allocated when its page is first needed and stays until the file goes. Private
 * mappings see the cache until they write, or until a page is pinned for long.
 *
 * Left out: reading from a disk (what is read is there), and write-back.
 *
 * @source mm/shmem.c shmem_fault, mm/memory.c do_read_fault, do_cow_fault, do_shared_fault,
 * finish_fault, mm/hugetlb.c hugetlb_no_page, 6.16; reference mm.md §5.5 and §6
 */
import { Errno, KernelHang, ModelBug, offsetIn, pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { splitHugePmd } from './anon.ts';
import { doWpPage } from './cow.ts';
import { FAULT_FLAG, VM_FAULT, type VmOperations } from './fault.ts';
import { allocCopyOfFolio, allocZeroedFolio } from './fault-folio.ts';
import { collapseInFile } from './file-collapse.ts';
import { FileFolios } from './file-folios.ts';
import { punchFileHole } from './file-unmap.ts';
import { folioPutRefs, folioRefAdd } from './folio.ts';
import { hugetlbReservePages, ResvMap } from './hugetlb-reserve.ts';
import { PG } from './page-state.ts';
import type { Memory } from './memory.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/**
 * Where a file lives: in memory (memfd, tmpfs), in hugetlb pages, on a disk, or in persistent memory:
 * a file of a DAX file system, or a device that maps it (dax/devdax).
 */
export type FileKind = 'shmem' | 'hugetlbfs' | 'disk' | 'fsdax' | 'devdax';

/** Page flags of folios in the cache. */
const CACHE_FLAGS: Readonly<Record<FileKind, number>> = {
  shmem: PG.swapbacked,
  hugetlbfs: PG.hugetlb,
  disk: 0,
  fsdax: 0,
  devdax: PG.swapbacked,
};
/** log2 of the bytes that one write of a file fills, 64 KiB. */
const WRITE_SHIFT = 16;
/** log2 of the bytes that a read fault maps (fault_around_bytes, 64 KiB), if that is more than a page. */
const AROUND_SHIFT = 16;

/** A file or memfd with its page cache (struct address_space). */
export class MappedFile implements VmOperations {
  /** Kind of file. */
  readonly kind: FileKind;
  /** Its private mappings have a file behind them. */
  readonly anonymous = false;
  /** Length in pages, the last one counted whole; ftruncate may make it longer. */
  npage: number;
  /** Length in bytes, where it is known to end inside a page. */
  #bytes: bigint | null = null;
  /** The page size of hugetlbfs, as an order; 0 else. */
  readonly order: number;
  /**
   * Whether a descriptor or a name holds the file; what is not held goes with its last mapping, as
   * shared anonymous memory does.
   */
  held = true;
  /** MADV_COLLAPSE, which only memfds know. */
  readonly collapse?: (mm: MmStruct, vma: Vma, vpn: Vpn) => number;
  /** Reserved huge pages of hugetlbfs. */
  readonly #resvMap: ResvMap | null;
  /** Folios in the cache. */
  readonly #folios: FileFolios;

  /**
   * @param kind kind of file
   * @param npage length in pages
   * @param order the page size of hugetlbfs, as an order; 0 else
   */
  constructor(kind: FileKind, npage: number, order = 0) {
    this.kind = kind;
    this.npage = npage;
    this.order = order;
    this.#folios = new FileFolios(order);
    this.#resvMap = kind === 'hugetlbfs' ? new ResvMap(order) : null;
    if (kind === 'shmem') {
      this.collapse = (mm, vma, vpn) =>
        collapseInFile(mm, vma, vpn, this.#folios, this.#mapBits(vma, 0));
    }
  }

  /** Length in bytes. */
  get bytes(): bigint {
    const pages = BigInt(this.npage) * 4096n;
    return this.#bytes !== null && this.#bytes > pages - 4096n ? this.#bytes : pages;
  }

  set bytes(bytes: bigint) {
    this.#bytes = bytes;
  }

  /** A file system on a disk writes back what was written to. */
  get dirtyTracking(): boolean {
    return this.kind === 'disk' || this.kind === 'fsdax';
  }

  /** Its pages are those of persistent memory, which the file system may move (vma_is_fsdax). */
  get fsdax(): boolean {
    return this.kind === 'fsdax';
  }

  /** Kind of memory, for messages. */
  get name(): string {
    return this.kind;
  }

  /** First frame of every folio that the page cache holds: for invariants. */
  get cachedFolios(): Iterable<Pfn> {
    return this.#folios.pfns;
  }

  /**
   * Reserves huge pages, and makes a file of hugetlbfs as long as a mapping that may be written to.
   *
   * @param mm address space
   * @param vma the mapping
   * @returns 0, or -ENOMEM if the pool has too few pages
   * @source fs/hugetlbfs/inode.c hugetlbfs_file_mmap, 6.16
   */
  mmap(mm: MmStruct, vma: Vma): number {
    if (this.#resvMap === null) return 0;
    if (!hugetlbReservePages(mm, vma, this.#resvMap)) return -Errno.ENOMEM;
    const length = vma.pgoff + (vma.end - vma.start);
    if (vma.flags & VM.WRITE) this.npage = Math.max(this.npage, length);
    return 0;
  }

  munmapped({ memory }: MmStruct): void {
    if (this.held) return;
    for (const { vmas } of memory.addressSpaces) {
      for (const { ops } of vmas) if (ops === this) return;
    }
    this.evict(memory);
  }

  fault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    if (mm.pageTable.pfnAt(vpn) >= 0) return this.#wpFault(mm, vma, vpn, flags);
    if (flags === 0 && this.order === 0 && this.#mapAround(mm, vma, vpn)) return 0;
    const pgoff = vma.pgoff + (vpn - vma.start);
    if (pgoff >= this.npage) return VM_FAULT.SIGBUS;
    const known = this.#folios.frameAt(pgoff);
    const own = (vma.flags & VM.SHARED) === 0;
    // A private mapping of a hole in hugetlbfs has pages of its own from the first read on.
    if (own && this.kind === 'hugetlbfs' && known === undefined) {
      return this.#cowFault(mm, vma, vpn, -1, flags);
    }
    const pfn = known ?? this.#addToCache(mm, vpn, pgoff, this.#faultOrders(mm));
    if (pfn < 0) return this.kind === 'hugetlbfs' ? VM_FAULT.SIGBUS : VM_FAULT.OOM;
    if (own && flags & FAULT_FLAG.WRITE) return this.#cowFault(mm, vma, vpn, pfn, flags);
    this.#map(mm, vma, vpn, pfn, this.#mapBits(vma, flags));
    return 0;
  }

  /**
   * A read fault maps up to 64 KiB around the page, as far as they are in the cache: from the aligned
   * border, or the start of the area, on, and no further than area, last-level table and file go.
   *
   * @returns whether the page itself was in the cache
   * @source mm/memory.c do_fault_around, mm/filemap.c filemap_map_pages, 6.16; recordings x40-file of
   * all kernels
   */
  #mapAround(mm: MmStruct, vma: Vma, vpn: Vpn): boolean {
    const bits = this.#mapBits(vma, 0);
    const { pageShift, pmdOrder } = mm.pageTable.geometry;
    const order = Math.max(0, AROUND_SHIFT - pageShift);
    const window = Math.max(vpn - offsetIn(vpn, order), vma.start);
    const tableEnd = vpn - offsetIn(vpn, pmdOrder) + pagesOf(pmdOrder);
    const windowEnd = Math.min(window + pagesOf(order), tableEnd, vma.end);
    const folio = mm.memory.rules.faultAround === 'folio' ? this.#folioIn(mm, vma, vpn) : null;
    const first = Math.min(window, folio?.first ?? window);
    const fileEnd = vma.start + (this.npage - vma.pgoff);
    const end = Math.min(Math.max(windowEnd, folio?.end ?? windowEnd), fileEnd);
    for (let at = first; at < end; at++) {
      const pfn = this.#folios.frameAt(vma.pgoff + (at - vma.start));
      if (pfn !== undefined && mm.pageTable.pfnAt(at) < 0) this.#map(mm, vma, at, pfn, bits);
    }
    return mm.pageTable.pfnAt(vpn) >= 0;
  }

  /**
   * The virtual pages of the folio of a page in the cache, if the area and one last-level table hold all
   * of them.
   *
   * @source mm/filemap.c filemap_map_pages, 6.18; recordings hang05 and mem07
   */
  #folioIn({ memory: { memmap } }: MmStruct, vma: Vma, vpn: Vpn): { first: Vpn; end: Vpn } | null {
    const pfn = this.#folios.frameAt(vma.pgoff + (vpn - vma.start));
    if (pfn === undefined) return null;
    const npage = pagesOf(memmap.order[memmap.headEntryOf(pfn)]);
    const first = vpn - (pfn & (npage - 1));
    const { pmdOrder } = memmap.geometry;
    const table = vpn - offsetIn(vpn, pmdOrder);
    const end = first + npage;
    const inTable = first >= table && end <= table + pagesOf(pmdOrder);
    return inTable && first >= vma.start && end <= vma.end ? { first, end } : null;
  }

  /**
   * Writes the file, so that its pages are in the cache before they are mapped.
   *
   * @param mm address space on whose behalf the frames are allocated
   * @param vma a mapping of the file; it need not be mapped
   */
  fill(mm: MmStruct, vma: Vma): void {
    const write = WRITE_SHIFT - mm.pageTable.geometry.pageShift;
    const step = pagesOf(Math.max(this.order, write));
    for (let at = 0; at < this.npage; at += step) {
      this.#write(mm, vma, at, Math.min(at + step, this.npage));
    }
  }

  /**
   * One write of the file: on a disk, with large folios, it makes the largest that are aligned and that it
   * fills.
   *
   * @source include/linux/pagemap.h fgf_set_order, mm/filemap.c __filemap_get_folio, 6.16; recordings
   * mem11 and mem12
   */
  #write(mm: MmStruct, vma: Vma, start: number, end: number): void {
    const large = this.kind === 'disk' && mm.memory.rules.diskLargeFolios;
    for (let at = start; at < end; at += pagesOf(this.order)) {
      if (this.#folios.frameAt(at) !== undefined) continue;
      const orders = [this.order];
      for (
        let order = 1;
        large && offsetIn(at, order) === 0 && at + pagesOf(order) <= end;
        order++
      ) {
        orders.unshift(order);
      }
      this.#addToCache(mm, vma.start + at - vma.pgoff, at, orders);
    }
  }

  /**
   * Puts a folio at given frames into the cache, as if the file had been read there.
   *
   * @param memory the machine's memory
   * @param pgoff page of the file that its first page holds
   * @param pfn its first frame, aligned to the order
   * @param order its order
   * @throws {InputError} when the frames are no free memory
   * @throws {ModelBug} for a file of hugetlbfs, whose pages come from a pool
   */
  place(memory: Memory, pgoff: number, pfn: Pfn, order: number): void {
    if (this.kind === 'hugetlbfs') throw new ModelBug('a huge page comes from its pool');
    const npage = pagesOf(order);
    memory.memmap.allocFolio(pfn, order, CACHE_FLAGS[this.kind]);
    this.#folios.add(pfn, pgoff, npage);
  }

  /**
   * The file goes: its cache lets go of the folios, and of reservations that were not used.
   *
   * @param memory the machine's memory
   */
  evict(memory: Memory): void {
    this.#resvMap?.release(memory.hugetlbPool(this.order), this.#folios.size);
    for (const pfn of this.#folios.pfns) folioPutRefs(memory.memmap, pfn, 1);
    this.#folios.clear();
  }

  /**
   * The frame of a page in the cache.
   *
   * @param pgoff page of the file
   * @returns its frame, or undefined where the cache has a hole
   */
  cached(pgoff: number): Pfn | undefined {
    return this.#folios.frameAt(pgoff);
  }

  /**
   * Allocates a folio of the file's page size for a hole, which nobody maps yet.
   *
   * @param mm address space on whose behalf it is allocated
   * @param pgoff page of the file
   * @returns the page's frame, or -1 if none is free
   * @source mm/memfd.c memfd_alloc_folio, 7.2
   */
  allocate(mm: MmStruct, pgoff: number): Pfn {
    const first = pgoff - offsetIn(pgoff, this.order);
    const vpn = this.#mappedAt(mm, first);
    const pfn = this.#addToCache(mm, vpn, first, [this.order]);
    return pfn < 0 ? pfn : pfn + (pgoff - first);
  }

  punchHole(memory: Memory, pgoff: number, npage: number): void {
    for (const folio of punchFileHole(memory, this, this.#folios, pgoff, npage)) {
      this.#resvMap?.forget(folio.pgoff);
    }
  }

  /**
   * Takes note that a folio was moved to other frames.
   *
   * @param from its first frame until now
   * @param to its first frame from now on
   * @source mm/migrate.c folio_migrate_mapping, 6.16
   */
  move(from: Pfn, to: Pfn): void {
    this.#folios.move(from, to);
  }

  /** Where a page of the file is mapped, for the source of frames; below 0: nowhere. */
  #mappedAt({ vmas }: MmStruct, pgoff: number): Vpn {
    for (const { ops, start, end, pgoff: first } of vmas) {
      if (ops !== this || pgoff < first || pgoff >= first + (end - start)) continue;
      return start + (pgoff - first);
    }
    return -1;
  }

  /** Orders that a fault asks for, largest first. */
  #faultOrders(mm: MmStruct): number[] {
    if (this.kind === 'hugetlbfs') return [this.order];
    if (this.kind === 'fsdax' || this.kind === 'devdax') return [mm.pageTable.geometry.pmdOrder, 0];
    const huge = this.kind === 'shmem' && ['always', 'force'].includes(mm.memory.thp.shmem);
    return huge ? [mm.pageTable.geometry.pmdOrder, 0] : [0];
  }

  /** Whether a huge page of shmem is forced beyond the end of the file. */
  #mayReachBeyond({ memory }: MmStruct): boolean {
    return memory.rules.hugeShmemBeyondEnd && memory.thp.shmem === 'force';
  }

  /** Allocates the folio of a page; returns the page's frame, or -1. */
  #addToCache(mm: MmStruct, vpn: Vpn, pgoff: number, orders: number[]): Pfn {
    for (const order of orders) {
      const offset = offsetIn(pgoff, order);
      const first = pgoff - offset;
      const beyond =
        order > this.order && first + pagesOf(order) > this.npage && !this.#mayReachBeyond(mm);
      if (beyond || (order > this.order && this.#folios.hasIn(first, pagesOf(order)))) continue;
      const flags = CACHE_FLAGS[this.kind];
      const reserved = this.#resvMap?.has(first) ?? false;
      const pfn = allocZeroedFolio(mm, vpn - offset, order, flags, reserved);
      if (pfn < 0) continue;
      this.#resvMap?.commit(first);
      this.#folios.add(pfn, first, pagesOf(order));
      return pfn + offset;
    }
    return -1;
  }

  /** Maps a page of the cache: its PMD or PUD leaf where that fits, its PTE else. */
  #map(mm: MmStruct, vma: Vma, vpn: Vpn, pfn: Pfn, bits: number): void {
    const { memmap } = mm.memory;
    const order = memmap.order[memmap.headEntryOf(pfn)];
    const { tableBits } = mm.pageTable;
    const level = Math.max(Math.floor(this.order / tableBits), order >= tableBits ? 1 : 0);
    const leafOrder = tableBits * level;
    const offset = offsetIn(vpn, leafOrder);
    const [first, pages] = [vpn - offset, pagesOf(leafOrder)];
    const inVma = first >= vma.start && first + pages <= vma.end;
    const dax = this.kind === 'fsdax' || this.kind === 'devdax';
    const huge = level > 0 && (this.order > 0 || dax || mayBeHuge(mm, vma));
    const large = huge && inVma && offset === offsetIn(pfn, leafOrder);
    folioRefAdd(memmap, pfn, 1);
    if (large && mm.pageTable.none(vpn, level)) {
      mm.pageTable.setEntry(first, pfn - offset, level, bits);
    } else mm.pageTable.setEntry(vpn, pfn, 0, bits);
  }

  /**
   * An unshare fault whose large leaf has just gone. For the kernel it is no write, so that it maps
   * the file again as a read would: by PTEs, of which the next unshare fault copies one; or
   * by the large leaf where that fits. Then everything is as it was, and GUP faults for ever.
   *
   * @throws {KernelHang} when the large leaf is back
   * @source mm/memory.c wp_huge_pmd, do_fault, do_read_fault, 6.12; recordings `more-hang`
   */
  #unshareFault(mm: MmStruct, vma: Vma, vpn: Vpn): number {
    const code = this.fault(mm, vma, vpn, 0);
    if (code !== 0 || !mm.pageTable.walk(vpn) || mm.pageTable.level === 0) return code;
    const what = `the unshare fault of virtual page ${vpn} splits the huge page's entry of the file, and maps it again`;
    throw new KernelHang('faultin_page', what);
  }

  /**
   * A page of a private mapping that is not mapped yet and cannot be the file's: a copy of the page in
   * the cache at once, or of a hole if that is -1.
   */
  #cowFault(mm: MmStruct, vma: Vma, vpn: Vpn, cached: Pfn, faultFlags: number): number {
    vma.anonVma = true;
    const flags = PG.anon | (this.kind === 'hugetlbfs' ? PG.hugetlb : 0);
    const offset = offsetIn(vpn, this.order);
    const first = vpn - offset;
    const alloc = cached < 0 ? allocZeroedFolio : allocCopyOfFolio;
    const pfn = alloc(mm, first, this.order, flags);
    if (pfn < 0) return this.kind === 'hugetlbfs' ? VM_FAULT.SIGBUS : VM_FAULT.OOM;
    if (cached >= 0) mm.memory.contents?.copy(cached - offset, pfn, pagesOf(this.order));
    const write = faultFlags & FAULT_FLAG.WRITE ? PTE.write : 0;
    const bits = PTE.present | PTE.anonExclusive | write;
    mm.pageTable.setEntry(first, pfn, this.order / mm.pageTable.tableBits, bits);
    return 0;
  }

  /** Bits of the entry by which a mapping maps the file's page. */
  #mapBits({ flags }: Vma, faultFlags: number): number {
    const shared = (flags & (VM.SHARED | VM.WRITE)) === (VM.SHARED | VM.WRITE);
    return PTE.present | (shared ? this.#writeBits(faultFlags) : 0);
  }

  /** What a fault of a writable shared mapping sets: a file system on a disk waits for the write. */
  #writeBits(flags: number): number {
    if (this.kind !== 'disk') return PTE.write;
    return flags & FAULT_FLAG.WRITE ? PTE.write | PTE.dirty : 0;
  }

  #wpFault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    if ((vma.flags & VM.SHARED) === 0) {
      if (flags === 0 || this.order > 0 || mm.pageTable.level === 0) {
        return doWpPage(mm, vma, vpn, flags);
      }
      // Of a THP of the file only the page is copied; the leaf goes, and is faulted in by page.
      const cached = mm.pageTable.pfnAt(vpn);
      splitHugePmd(mm, vpn);
      if ((flags & FAULT_FLAG.WRITE) === 0) return this.#unshareFault(mm, vma, vpn);
      return this.#cowFault(mm, vma, vpn, cached, flags);
    }
    if (flags & FAULT_FLAG.WRITE) {
      const { level, index, ptes, dirs } = mm.pageTable;
      (level === 0 ? ptes : dirs).bits[index] |= this.#writeBits(flags);
    }
    return 0;
  }
}

/** Whether advice forbids a huge entry of a file. */
function mayBeHuge({ memory }: MmStruct, vma: Vma): boolean {
  return !memory.rules.fileHugeObeysAdvice || (vma.flags & VM.NOHUGEPAGE) === 0;
}
