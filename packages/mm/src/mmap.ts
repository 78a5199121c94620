/**
 * Mapping memory into an address space, populated at once: anonymous memory (4 KiB pages or THP),
 * hugetlb, and device memory as a pure pfn mapping.
 *
 * A leaf is as large as folio, alignment and range allow: a 2 MiB leaf for an order-9 folio that
 * lies aligned and whole, a 1 GiB leaf for order 18, and 4 KiB entries else (64 KiB hugetlb of
 * arm64 too, whose contiguous entries GUP sees as PTEs). Every leaf holds one reference.
 *
 * @source reference mm.md §6; mm/memory.c, mm/huge_memory.c, 6.16
 */
import { InputError, isAligned, type PageGeometry, type Pfn, type Vpn } from '@pinfold/base';
import { FrameRun, type FrameSource } from './frame-source.ts';
import { PG } from './page-state.ts';
import { endOfFrames } from './sections.ts';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, Vma } from './vma.ts';

/** Access that a mapping allows. */
export interface Prot {
  /** PROT_READ. */
  readonly read: boolean;
  /** PROT_WRITE. */
  readonly write: boolean;
}

/** Where a mapping lies and what it allows. */
export interface MmapRange {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** Access; default read and write. */
  readonly prot?: Prot;
}

/** Kinds of populated memory: private anonymous memory, or hugetlb pages. */
export type MemoryKind = 'anon' | 'hugetlb';

/** Private memory that is populated when it is mapped. */
export interface MmapMemory extends MmapRange {
  /** Kind of memory. */
  readonly kind: MemoryKind;
  /** Order of the folios to ask the source for: 0 (4 KiB), 9 (THP or 2M hugetlb), 18 (1G hugetlb). */
  readonly order: number;
  /** Where the frames come from. */
  readonly frames: FrameSource;
}

/** Device memory mapped by its driver, such as a BAR. */
export interface MmapPfnmap extends MmapRange {
  /** Page frame of the first page. */
  readonly pfn: Pfn;
  /** Order of the largest leaf that the driver installs: 0, 9 or 18 (default, as vfio-pci does). */
  readonly maxLeafOrder?: number;
}

const READ_WRITE: Prot = { read: true, write: true };

/**
 * Maps private memory and populates it.
 *
 * @param mm address space
 * @param memory range in pages, kind, folio order and frames
 * @throws {InputError} when the range overlaps a mapping or ends above 48 address bits, or the
 *   source hands out frames that are not free memory
 * @source mm/mmap.c, MAP_PRIVATE | MAP_POPULATE, 6.16
 */
export function mmapMemory(mm: MmStruct, memory: MmapMemory): void {
  const prot = memory.prot ?? READ_WRITE;
  const hugetlb = memory.kind === 'hugetlb';
  insertVma(mm, memory, hugetlb ? VM.HUGETLB : 0, hugetlb ? memory.order : 0).anonVma = true;
  const bits = PTE.present | PTE.anonExclusive | (prot.write ? PTE.write : 0);
  const pageFlags = hugetlb ? PG.hugetlb | PG.anon : PG.anon;
  const run = new FrameRun();
  for (let done = 0; done < memory.npage; done += run.npage) {
    memory.frames.framesFor(memory.vpn + done, memory.npage - done, memory.order, run);
    if (run.pfn >= 0) installRun(mm, memory.vpn + done, run, bits, pageFlags);
  }
}

/**
 * Maps device memory as a pure pfn mapping (VM_PFNMAP | VM_IO): no `struct page`, no reference.
 *
 * @param mm address space
 * @param device range in pages, first page frame, largest leaf
 * @throws {InputError} when the range overlaps a mapping or ends above 48 address bits, or the
 *   frames above 52
 * @source drivers/vfio/pci/vfio_pci_core.c vfio_pci_mmap_huge_fault, 6.16
 */
export function mmapPfnmap(mm: MmStruct, device: MmapPfnmap): void {
  const prot = device.prot ?? READ_WRITE;
  const { pageShift, hugeOrders, pudOrder, tableBits } = mm.pageTable.geometry;
  if (device.pfn + device.npage > endOfFrames(pageShift)) {
    const got = `frames ${device.pfn} to ${device.pfn + device.npage - 1}`;
    throw new InputError('device memory', 'frames below 2^52 bytes', got);
  }
  insertVma(mm, device, VM.PFNMAP | VM.IO);
  const bits = PTE.present | PTE.special | (prot.write ? PTE.write : 0);
  const max = device.maxLeafOrder ?? pudOrder;
  for (let done = 0; done < device.npage;) {
    const vpn = device.vpn + done;
    const pfn = device.pfn + done;
    const order = hugeOrders.find(
      (o) => o <= max && isAligned(vpn, o) && isAligned(pfn, o) && device.npage - done >= 2 ** o,
    );
    mm.pageTable.setLeaves(vpn, pfn, 1, (order ?? 0) / tableBits, bits);
    done += 2 ** (order ?? 0);
  }
}

function insertVma(mm: MmStruct, range: MmapRange, kind: number, order = 0): Vma {
  const { vpn, npage, prot = READ_WRITE } = range;
  const { addressBits } = mm.pageTable.geometry;
  const place = `mapping at virtual page ${vpn}`;
  if (!(npage > 0)) throw new InputError(place, 'at least one page', `${npage} pages`);
  if (vpn < 0 || vpn + npage > mm.pageTable.virtualPages) {
    throw new InputError(
      place,
      `a range below 2^${addressBits} bytes`,
      `pages ${vpn} to ${vpn + npage - 1}`,
    );
  }
  const flags = kind | VM.MAYWRITE | (prot.read ? VM.READ : 0) | (prot.write ? VM.WRITE : 0);
  const vma = new Vma(vpn, vpn + npage, flags, null, 0, order);
  if (mm.vmas.insert(vma)) return vma;
  throw new InputError(place, 'a free address range', 'an overlap with a mapping that exists');
}

/** Maps one run of frames, folio by folio. */
function installRun(mm: MmStruct, vpn: Vpn, run: FrameRun, bits: number, pageFlags: number): void {
  if (run.order === 0) {
    for (let i = 0; i < run.npage; i++) mm.memory.memmap.allocFolio(run.pfn + i, 0, pageFlags);
    mm.pageTable.setLeaves(vpn, run.pfn, run.npage, 0, bits);
    return;
  }
  const folioPages = 2 ** run.order;
  for (let done = 0; done < run.npage;) {
    const pfn = run.pfn + done;
    const offset = pfn % folioPages;
    const npage = Math.min(run.npage - done, folioPages - offset);
    const level = leafLevel(mm.pageTable.geometry, vpn + done, pfn, npage, run.order);
    const leaves = npage / 2 ** (mm.pageTable.tableBits * level);
    takeReferences(mm, pfn - offset, run.order, leaves, pageFlags);
    mm.pageTable.setLeaves(vpn + done, pfn, leaves, level, bits);
    done += npage;
  }
}

/** The largest leaf with which the pages of one folio can be mapped: all of them, aligned. */
function leafLevel(
  { leafOrders, tableBits }: PageGeometry,
  vpn: Vpn,
  pfn: Pfn,
  npage: number,
  order: number,
): number {
  const level = Math.min(Math.floor(order / tableBits), leafOrders.length - 1);
  const pages = 2 ** (tableBits * level);
  return npage % pages === 0 && vpn % pages === 0 && pfn % pages === 0 ? level : 0;
}

/** A folio that is mapped for the first time is allocated; every leaf holds one reference. */
function takeReferences(
  mm: MmStruct,
  head: Pfn,
  order: number,
  leaves: number,
  flags: number,
): void {
  const { memmap } = mm.memory;
  const mapped = memmap.pfnValid(head) ? memmap.headEntryOf(head) : -1;
  const known = mapped >= 0 && memmap.refcount[mapped] > 0 && memmap.order[mapped] === order;
  // Allocating may replace the arrays, so the entry comes first.
  const entry = known ? mapped : memmap.allocFolio(head, order, flags);
  memmap.refcount[entry] = known ? memmap.refcount[entry] + leaves : leaves;
}
