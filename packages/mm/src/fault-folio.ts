/**
 * Folios for faults: asked from the machine's {@link FrameSource}, zeroed or filled with a copy.
 *
 * @source mm/memory.c alloc_anon_folio, mm/huge_memory.c vma_alloc_anon_folio_pmd, 6.16
 */
import { isAligned, pagesOf, Slot, type Pfn, type Vpn } from '@pinfold/base';
import { FrameRun, LONGTERM_PIN } from './frame-source.ts';
import { PG } from './page-state.ts';
import { hasPrivateReserve } from './hugetlb-reserve.ts';
import type { MmStruct } from './mm-struct.ts';

/**
 * Allocates a folio for a virtual page, with one reference.
 *
 * @param mm address space
 * @param vpn first virtual page that it will back, aligned to the order for anonymous memory
 * @param order folio order
 * @param flags {@link PG} flags
 * @param resv whether a huge page was reserved; default: if it is for private memory, and its mapping
 *   has reserved it
 * @returns its first page frame, or -1 if no folio of that order is free,
 *   or the pool of huge pages is empty
 * @throws {InputError} when the source hands out frames that are not free memory
 * @source mm/mempolicy.c vma_alloc_folio, 6.16
 */
export function vmaAllocFolio(
  mm: MmStruct,
  vpn: Vpn,
  order: number,
  flags: number,
  resv: boolean | null = null,
): Pfn {
  const { memmap } = mm.memory;
  const frames = mm.frames ?? mm.memory.frames;
  const pool = flags & PG.hugetlb ? mm.memory.hugetlbPool(order) : null;
  const reserved = pool !== null && (resv ?? (ownPage(flags) && hasPrivateReserve(mm, vpn)));
  if (frames === null || pool?.take(reserved) === false) return -1;
  const pin = mm.memory.memallocPin ? LONGTERM_PIN : 0;
  const run = new FrameRun();
  frames.framesFor(vpn, pagesOf(order), order, run, flags | pin);
  const fits = order === 0 || (run.order === order && run.npage === pagesOf(order));
  if (run.pfn < 0 || !fits || !isAligned(run.pfn, order)) {
    pool?.free();
    if (reserved) pool.reserve(1);
    return -1;
  }
  memmap.allocFolio(run.pfn, order, flags);
  return run.pfn;
}

/** A huge page of a private mapping, not of a file. */
function ownPage(flags: number): boolean {
  return (flags & PG.anon) !== 0;
}

/**
 * As {@link vmaAllocFolio}, for a folio that is zeroed.
 *
 * @param mm address space
 * @param vpn first virtual page that it will back
 * @param order folio order
 * @param flags {@link PG} flags
 * @param resv as there
 * @returns its first page frame, or -1
 * @source include/linux/highmem.h folio_zero_user, 6.16
 */
export function allocZeroedFolio(
  mm: MmStruct,
  vpn: Vpn,
  order: number,
  flags: number,
  resv: boolean | null = null,
): Pfn {
  const pfn = vmaAllocFolio(mm, vpn, order, flags, resv);
  if (pfn >= 0) mm.memory.counters.add(Slot.pagesZeroed, pagesOf(order));
  return pfn;
}

/**
 * As {@link vmaAllocFolio}, for a folio into which another one is copied.
 *
 * @param mm address space
 * @param vpn first virtual page that it will back
 * @param order folio order
 * @param flags {@link PG} flags
 * @returns its first page frame, or -1
 * @source mm/memory.c wp_page_copy, 6.16
 */
export function allocCopyOfFolio(mm: MmStruct, vpn: Vpn, order: number, flags: number): Pfn {
  const pfn = vmaAllocFolio(mm, vpn, order, flags);
  if (pfn >= 0) mm.memory.counters.add(Slot.pagesCopied, pagesOf(order));
  return pfn;
}
