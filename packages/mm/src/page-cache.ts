/**
 * Files and memfds: the page cache, and the faults of their shared and private mappings.
 *
 * A folio is allocated when its page is first needed and stays until the file goes. Private
 * mappings see the cache until they write, or until a page is pinned for long.
 *
 * Left out: reading from a disk (what is read is there), write-back, fault-around (a fault maps one
 * page), and large folios other than hugetlb's.
 *
 * @source mm/shmem.c shmem_fault, mm/memory.c do_read_fault, do_cow_fault, do_shared_fault,
 * mm/hugetlb.c hugetlb_no_page, 6.16; reference mm.md §5.5 and §6
 */
import { offsetIn, pagesOf, PMD_ORDER, type Pfn, type Vpn } from '@pinfold/base';
import { doWpPage } from './cow.ts';
import { FAULT_FLAG, VM_FAULT, type VmOperations } from './fault.ts';
import { allocCopyOfFolio, allocZeroedFolio } from './fault-folio.ts';
import { folioPutRefs, folioRefAdd } from './folio.ts';
import { PG } from './memmap.ts';
import type { Memory } from './memory.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/** Where a file lives: in memory (memfd, tmpfs), in hugetlb pages, or on a disk. */
export type FileKind = 'shmem' | 'hugetlbfs' | 'disk';

/** A file or memfd with its page cache (struct address_space). */
export class MappedFile implements VmOperations {
  /** Kind of file. */
  readonly kind: FileKind;
  /** Length in pages, the last one counted whole. */
  readonly npage: number;
  /** Order of its folios: 0, or the hugetlb page size. */
  readonly order: number;
  /** First frame of every folio in the cache, by its index in pages. */
  readonly #cache = new Map<number, Pfn>();

  /**
   * @param kind kind of file
   * @param npage length in pages
   * @param order order of its folios: 0, or the page size of hugetlbfs
   */
  constructor(kind: FileKind, npage: number, order = 0) {
    this.kind = kind;
    this.npage = npage;
    this.order = order;
  }

  /** Kind of memory, for messages. */
  get name(): string {
    return this.kind;
  }

  fault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    const level = this.order / PMD_ORDER;
    const first = vpn - offsetIn(vpn, this.order);
    if (mm.pageTable.pfnAt(vpn) >= 0) return this.#wpFault(mm, vma, vpn, flags);
    const offset = vma.pgoff + (first - vma.start);
    if (offset >= this.npage) return VM_FAULT.SIGBUS;
    const known = this.#cache.get(offset);
    if ((vma.flags & VM.SHARED) === 0 && flags & FAULT_FLAG.WRITE) {
      return this.#cowFault(mm, first, level, known !== undefined);
    }
    const pfn = known ?? this.#addToCache(mm, first, offset);
    if (pfn < 0) return this.#noFolio();
    const shared = (vma.flags & (VM.SHARED | VM.WRITE)) === (VM.SHARED | VM.WRITE);
    const writable = shared && (this.kind !== 'disk' || (flags & FAULT_FLAG.WRITE) !== 0);
    folioRefAdd(mm.memory.memmap, pfn, 1);
    mm.pageTable.setEntry(first, pfn, level, PTE.present | (writable ? PTE.write : 0));
    return 0;
  }

  /**
   * Writes the file, so that its pages are in the cache before they are mapped.
   *
   * @param mm address space on whose behalf the frames are allocated
   * @param vpn virtual page at which the file will be mapped
   * @param pgoff first page of the file that is mapped there
   */
  fill(mm: MmStruct, vpn: Vpn, pgoff: number): void {
    for (let at = 0; at < this.npage; at += pagesOf(this.order)) {
      if (!this.#cache.has(at)) this.#addToCache(mm, vpn + at - pgoff, at);
    }
  }

  /**
   * Closes the file: its cache lets go of the folios.
   *
   * @param memory the machine's memory
   */
  evict(memory: Memory): void {
    for (const pfn of this.#cache.values()) {
      folioPutRefs(memory.memmap, pfn, 1);
    }
    this.#cache.clear();
  }

  #addToCache(mm: MmStruct, vpn: Vpn, offset: number): Pfn {
    const pfn = allocZeroedFolio(mm, vpn, this.order, this.kind === 'hugetlbfs' ? PG.hugetlb : 0);
    if (pfn >= 0) this.#cache.set(offset, pfn);
    return pfn;
  }

  /** An empty hugetlb pool is a SIGBUS, everything else out of memory. */
  #noFolio(): number {
    return this.kind === 'hugetlbfs' ? VM_FAULT.SIGBUS : VM_FAULT.OOM;
  }

  /** A write to a page of a private mapping that is not mapped yet: a copy at once. */
  #cowFault(mm: MmStruct, vpn: Vpn, level: number, copied: boolean): number {
    const flags = PG.anon | (this.kind === 'hugetlbfs' ? PG.hugetlb : 0);
    const fromDisk = copied || this.kind === 'disk';
    const pfn = (fromDisk ? allocCopyOfFolio : allocZeroedFolio)(mm, vpn, this.order, flags);
    if (pfn < 0) return this.#noFolio();
    const bits = PTE.present | PTE.write | PTE.anonExclusive;
    mm.pageTable.setEntry(vpn, pfn, level, bits);
    return 0;
  }

  #wpFault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
    if ((vma.flags & VM.SHARED) === 0) return doWpPage(mm, vma, vpn, flags);
    if (flags & FAULT_FLAG.WRITE) {
      const { level, index, ptes, dirs } = mm.pageTable;
      (level === 0 ? ptes : dirs).bits[index] |= PTE.write;
    }
    return 0;
  }
}
