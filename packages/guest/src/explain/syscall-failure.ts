/**
 * Why a call of the process failed that is no ioctl of VFIO: which check of the kernel gave the errno,
 * and what it saw. The calls themselves return a number only, as the kernel's do; what their checks look
 * at is still there when they have failed.
 *
 * @source mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c, mm/hugetlb.c, mm/khugepaged.c,
 * arch/x86/mm/fault.c, kernel/fork.c, 6.16
 */
import { isAligned, pageNumber, pagesOf, PMD_ORDER, type Vpn } from '@pinfold/base';
import { VM, type MmStruct, type Vma } from '@pinfold/mm';
import { failureOf, type Failure, hexPages } from '@pinfold/scenario';
import type { Guest } from '../machine/guest.ts';
import { HUGE_ORDERS } from '../process/huge-orders.ts';
import type { Operation } from '../operations/index.ts';
import type { MmapOperation } from '../operations/memory/mmap.ts';

/** Bytes of a page. */
const PAGE_BYTES = 4096n;
/** End of the addresses of a process with page tables of four levels. */
const TASK_SIZE_PAGES = 2 ** 35;

/** A range of virtual pages. */
interface PageRange {
  readonly vpn: Vpn;
  readonly end: Vpn;
}

/**
 * Finds the check that refused a call.
 *
 * @param guest the machine, as the call has left it
 * @param operation the call
 * @param errno name of its error
 * @returns the check; null if nothing explains the errno
 */
export function syscallFailure(guest: Guest, operation: Operation, errno: string): Failure | null {
  switch (operation.op) {
    case 'device':
    case 'addext':
      return errno === 'EBADF' ? failureOf('ioctl', { group: 'not open' }) : null;
    case 'closedev':
      return errno === 'EBADF' ? failureOf('close', { device: operation.dev }) : null;
    case 'pcicmd':
      return errno === 'EBADF' ? failureOf('pwrite', { device: operation.dev }) : null;
    case 'mmap':
      return mmapFailure(guest, operation, errno);
    case 'munmap':
    case 'mprotect':
    case 'mlock':
    case 'munlock':
      return rangeFailure(guest, operation, errno);
    case 'madvise':
      return adviceFailure(guest, operation, errno);
    case 'touch':
    case 'poke':
    case 'peek':
      return accessFailure(guest, operation, errno);
    case 'fork':
      return errno === 'ENOMEM' ? failureOf('dup_mmap', { freePages: 0 }) : null;
    case 'reap':
      return failureOf('do_wait', { children: 0 });
    default:
      return null;
  }
}

function mmapFailure(guest: Guest, operation: MmapOperation, errno: string): Failure | null {
  return daxFailure(operation, errno) ?? otherMmapFailure(guest, operation, errno);
}

/** What a device of persistent memory refuses. */
function daxFailure({ kind, flags, size }: MmapOperation, errno: string): Failure | null {
  if (kind !== 'devdax' || errno !== 'EINVAL' || size === 0n) return null;
  const npage = pageNumber(size);
  return failureOf('dev_dax_mmap', { shared: flags.includes('shared'), npage });
}

function otherMmapFailure(guest: Guest, operation: MmapOperation, errno: string): Failure | null {
  const { kind, dev = '', bar = 0, off = 0n, flags } = operation;
  const order = HUGE_ORDERS[kind] ?? 0;
  const { mm } = guest.process.task;
  const bytes = PAGE_BYTES << BigInt(order);
  const npage = pageNumber(((operation.size + bytes - 1n) / bytes) * bytes);
  if (kind === 'bar' && errno === 'EBADF') return failureOf('mmap', { device: dev });
  if (operation.size === 0n) return failureOf('do_mmap', { size: operation.size });
  if (kind === 'bar' && errno === 'EINVAL') {
    const barPages = guest.devices.get(dev).bars.get(bar)?.npage ?? 0;
    const seen = { device: dev, bar, npage, offPages: pageNumber(off), barPages };
    if (pageNumber(off) + npage > barPages) return failureOf('vfio_pci_core_mmap', seen);
  }
  const resource = kind === 'file' ? guest.devices.resourceAt(operation.path ?? '') : undefined;
  if (resource && errno === 'EINVAL') {
    const seen = { path: operation.path ?? '', npage, barPages: resource.npage };
    if (npage > resource.npage) return failureOf('pci_mmap_resource_range', seen);
  }
  const { addr } = operation;
  if (errno === 'EINVAL' && ((addr ?? 0n) % bytes !== 0n || off % bytes !== 0n)) {
    return failureOf('do_mmap', { addr: addr ?? 0n, off, pageBytes: bytes });
  }
  if (flags.includes('locked') && (errno === 'EAGAIN' || errno === 'EPERM')) {
    return lockLimitFailure(guest, 'mlock_future_ok', npage);
  }
  if (errno === 'EEXIST' && addr !== undefined) {
    const vpn = pageNumber(addr);
    const [other] = mm.vmas.overlapping(vpn, vpn + npage);
    return failureOf('do_mmap', { vpn, npage, otherVpn: other.start, otherEnd: other.end });
  }
  if (errno !== 'ENOMEM') return null;
  if (pageNumber(addr ?? 0n) + npage > TASK_SIZE_PAGES) {
    return failureOf('__get_unmapped_area', { addr: addr ?? 0n, npage });
  }
  const pool = order > 0 ? guest.memory.hugetlbPool(order) : undefined;
  if (pool) {
    const wanted = npage / pagesOf(order);
    const { freeHugePages, resvHugePages } = pool;
    return failureOf('hugetlb_acct_memory', { order, wanted, freeHugePages, resvHugePages });
  }
  return flags.includes('locked') ? null : failureOf('__vm_enough_memory', { npage });
}

/** The function that walks the range of each call. */
const RANGE_CHECKS = {
  munmap: 'do_vmi_munmap',
  mprotect: 'do_mprotect_pkey',
  mlock: 'apply_vma_lock_flags',
  munlock: 'apply_vma_lock_flags',
} as const;

type RangeOperation = Extract<Operation, { op: 'munmap' | 'mprotect' | 'mlock' | 'munlock' }>;

function rangeFailure(guest: Guest, operation: RangeOperation, errno: string): Failure | null {
  const { op, va, size } = operation;
  const { mm } = guest.process.task;
  const at = RANGE_CHECKS[op];
  const range = pagesIn(va, size);
  const locks = op === 'mlock' || op === 'munlock';
  const alignment = locks ? null : misaligned(mm, at, operation, range);
  if (errno === 'EINVAL') {
    if (op === 'munmap' && size === 0n) return failureOf(at, { size });
    return alignment ?? (range.end > TASK_SIZE_PAGES ? failureOf(at, { va, size }) : null);
  }
  if (op === 'mlock' && (errno === 'EPERM' || overLimit(guest, range))) {
    return lockLimitFailure(guest, 'do_mlock', range.end - range.vpn);
  }
  if (op === 'mlock' && errno === 'EAGAIN') {
    return failureOf('populate_vma_page_range', { freePages: 0 });
  }
  if (errno !== 'ENOMEM') return null;
  return holeFailure(mm, at, range) ?? (op === 'mlock' ? nothingBehind(mm, range, true) : null);
}

type AdviceOperation = Extract<Operation, { op: 'madvise' }>;

function adviceFailure(guest: Guest, operation: AdviceOperation, errno: string): Failure | null {
  const { mm } = guest.process.task;
  const { advice, va, size } = operation;
  const range = pagesIn(va, size);
  const writes = advice === 'popwrite';
  if (errno === 'EAGAIN') return failureOf('collapse_huge_page', { advice });
  if (errno === 'EFAULT')
    return refusedAccess(mm, range, writes) ?? nothingBehind(mm, range, writes);
  if (errno === 'ENOMEM') {
    const hole = holeFailure(mm, 'madvise_walk_vmas', range);
    return hole ?? failureOf('alloc_charge_folio', { advice, freePages: 0 });
  }
  const fine = misaligned(mm, 'do_madvise', operation, range);
  if (fine) return fine;
  const vma = mm.vmas.overlapping(range.vpn, range.end).find((one) => refuses(one, advice));
  if (!vma && advice === 'collapse') {
    const blocks = mm.vmas.overlapping(range.vpn, range.end).every(hasBlock);
    return failureOf('madvise_collapse', { advice, blocks });
  }
  if (!vma) return null;
  return failureOf('madvise_vma_behavior', {
    ...{ advice, vpn: Math.max(vma.start, range.vpn), memory: vma.ops?.name ?? 'none' },
    locked: (vma.flags & VM.LOCKED) !== 0,
    shared: (vma.flags & VM.SHARED) !== 0,
    access: accessOf(vma),
  });
}

/** Whether an area has room for an aligned huge page. */
function hasBlock({ start, end }: Vma): boolean {
  const pages = pagesOf(PMD_ORDER);
  return Math.ceil(start / pages) * pages + pages <= end;
}

/** Whether an advice cannot be given for an area. */
function refuses(vma: Vma, advice: string): boolean {
  const isAnonymous = vma.ops?.anonymous === true;
  const isDevice = (vma.flags & (VM.IO | VM.PFNMAP)) !== 0;
  const isLocked = (vma.flags & VM.LOCKED) !== 0;
  switch (advice) {
    case 'collapse':
      return !isAnonymous || (vma.flags & VM.NOHUGEPAGE) !== 0;
    case 'dontneed':
      return isLocked || isDevice;
    case 'free':
      return isLocked || !isAnonymous;
    case 'remove':
      return isLocked || isAnonymous || (vma.flags & VM.SHARED) === 0;
    case 'popread':
      return isDevice || (vma.flags & VM.READ) === 0;
    case 'popwrite':
      return isDevice || (vma.flags & VM.WRITE) === 0;
    default:
      return false;
  }
}

type AccessOperation = Extract<Operation, { op: 'touch' | 'poke' | 'peek' }>;

function accessFailure(guest: Guest, operation: AccessOperation, errno: string): Failure | null {
  const { mm } = guest.process.task;
  if (errno === 'ENOMEM') return failureOf('do_anonymous_page', { freePages: 0 });
  const writes = operation.op === 'poke' || (operation.op === 'touch' && operation.mode === 'w');
  for (const range of accessed(operation)) {
    const found = refusedAccess(mm, range, writes) ?? nothingBehind(mm, range, writes);
    if (found) return found;
  }
  return null;
}

/** The pages that an access looks at: one range, or those of a list. */
function* accessed(operation: AccessOperation): Iterable<PageRange> {
  const { va, size } = operation;
  const pages = operation.op === 'touch' ? operation.pages : undefined;
  if (!pages) yield pagesIn(va, size);
  for (const page of pages ?? []) {
    const vpn = pageNumber(va) + page;
    yield { vpn, end: vpn + 1 };
  }
}

/** The first page of a range that no area covers, or whose area does not allow an access. */
function refusedAccess(mm: MmStruct, range: PageRange, writes: boolean): Failure | null {
  const at = 'do_user_addr_fault';
  const hole = holeIn(mm, range);
  const stop = hole ?? range.end;
  const needs = writes ? VM.WRITE : VM.READ | VM.WRITE;
  const vma = mm.vmas.overlapping(range.vpn, stop).find(({ flags }) => (flags & needs) === 0);
  if (vma) {
    const vpn = Math.max(vma.start, range.vpn);
    return failureOf(at, { vpn, writes, access: accessOf(vma) });
  }
  return hole === null ? null : failureOf(at, { vpn: hole, writes, mapped: false });
}

/** The first page of a range that is not there although it may be accessed: SIGBUS. */
function nothingBehind(mm: MmStruct, { vpn, end }: PageRange, writes: boolean): Failure | null {
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    const stop = Math.min(end, vma.end);
    for (let at = Math.max(vpn, vma.start); at < stop; at += pagesOf(vma.order)) {
      if (mm.pageTable.allows(at, writes)) continue;
      const pool = vma.order > 0 ? mm.memory.hugetlbPool(vma.order) : undefined;
      return failureOf('handle_mm_fault', {
        ...{ vpn: at, memory: vma.ops?.name ?? 'none' },
        ...(pool && { order: vma.order, freeHugePages: pool.freeHugePages }),
        ...(pool && { resvHugePages: pool.resvHugePages }),
      });
    }
  }
  return null;
}

function pagesIn(va: bigint, size: bigint): PageRange {
  return { vpn: pageNumber(va), end: pageNumber(va + size + PAGE_BYTES - 1n) };
}

/** A range that is no whole number of pages, or of huge pages where such lie. */
function misaligned(
  mm: MmStruct,
  at: string,
  { va, size }: { va: bigint; size: bigint },
  { vpn, end }: PageRange,
): Failure | null {
  if (va % PAGE_BYTES !== 0n) return failureOf(at, { va, pageBytes: PAGE_BYTES });
  const cut = [vpn, end].find((border) => {
    const vma = mm.vmas.lookup(border);
    return vma !== null && border > vma.start && !isAligned(border, vma.order);
  });
  if (cut === undefined) return null;
  const order = mm.vmas.lookup(cut)?.order ?? 0;
  const seen = { cutAt: hexPages(cut), pageBytes: PAGE_BYTES << BigInt(order), size };
  return failureOf(at, { va, ...seen });
}

/** The first page of a range that no area covers; null if all are covered. */
function holeIn(mm: MmStruct, { vpn, end }: PageRange): Vpn | null {
  let at = vpn;
  for (const vma of mm.vmas.overlapping(vpn, end)) {
    if (vma.start > at) return at;
    at = vma.end;
  }
  return at < end ? at : null;
}

function holeFailure(mm: MmStruct, at: string, range: PageRange): Failure | null {
  const hole = holeIn(mm, range);
  return hole === null ? null : failureOf(at, { hole: hexPages(hole) });
}

/** Whether an mlock would exceed RLIMIT_MEMLOCK: what is locked in its range counts only once. */
function overLimit({ process }: Guest, { vpn, end }: PageRange): boolean {
  const { mm, capIpcLock, memlockPages } = process.task;
  const locked = mm.vmas
    .overlapping(vpn, end)
    .filter(({ flags }) => (flags & VM.LOCKED) !== 0)
    .reduce((sum, vma) => sum + Math.min(end, vma.end) - Math.max(vpn, vma.start), 0);
  return !capIpcLock && mm.lockedVm + (end - vpn) - locked > memlockPages;
}

function lockLimitFailure({ process }: Guest, at: string, npage: number): Failure {
  const { mm, memlockPages } = process.task;
  return failureOf(at, { npage, lockedVmPages: mm.lockedVm, limitPages: memlockPages });
}

function accessOf({ flags }: Vma): string {
  const words = [flags & VM.READ ? 'READ' : '', flags & VM.WRITE ? 'WRITE' : ''];
  return words.filter((word) => word !== '').join(' and ') || 'NONE';
}
