/**
 * Page faults: what happens when an access meets an entry that is absent or does not allow it.
 *
 * Who owns the memory of a VMA answers its faults (`vm_operations_struct`): anonymous memory,
 * shmem, hugetlb, a device's driver. Each is one file; this one holds what they share.
 *
 * @source mm/memory.c handle_mm_fault, mm/gup.c fixup_user_fault, faultin_page, 6.16; reference
 * mm.md §5.6
 */
import { Errno, ModelBug, Slot, type Vpn } from '@pinfold/base';
import type { Memory } from './memory.ts';
import type { MmStruct } from './mm-struct.ts';
import { VM, type Vma } from './vma.ts';

/** What a fault asks for. */
export const FAULT_FLAG = {
  /** The access is a write. */
  WRITE: 1,
  /** A page that is to be pinned for reading must belong to this process alone. */
  UNSHARE: 2,
} as const;

/** The kernel's flag of a fault on behalf of another task; it changes nothing here. */
const FAULT_FLAG_REMOTE = 0x80;

/** How a fault failed; 0 is success. */
export const VM_FAULT = {
  /** No frame could be had. */
  OOM: 1,
  /** Nothing is behind the address: beyond the end of a file, an empty pool, a disabled device. */
  SIGBUS: 2,
  /** The VMA does not allow the access. */
  SIGSEGV: 4,
} as const;

/** Who answers the faults of a VMA (struct vm_operations_struct). */
export interface VmOperations {
  /** Kind of memory, for messages. */
  readonly name: string;
  /** Whether it is private anonymous memory, whose areas may be merged wherever they lie. */
  readonly anonymous: boolean;
  /** Whether a file system wants to know of writes to shared mappings (vma_needs_dirty_tracking). */
  readonly dirtyTracking: boolean;
  /** Whether it is a file of a DAX file system, which no longterm pin may take; default false. */
  readonly fsdax?: boolean;
  /** log2 of the pages that mmap calls may not cut: the page size of hugetlb, 0 else. */
  readonly order: number;

  /**
   * Gets ready for a new mapping (the file's mmap operation).
   *
   * @param mm address space
   * @param vma the mapping, which is not in the address space yet
   * @returns 0 or a negative errno: then nothing is mapped
   */
  mmap?(mm: MmStruct, vma: Vma): number;

  /**
   * Takes note that an address space has unmapped some of its memory (fput of the mapping's file).
   *
   * @param mm address space; the areas have gone from it
   */
  munmapped?(mm: MmStruct): void;

  /**
   * Takes pages out of the file, wherever they are mapped (fallocate, FALLOC_FL_PUNCH_HOLE).
   *
   * @param memory the machine's memory
   * @param pgoff first page of the file
   * @param npage length in pages
   */
  punchHole?(memory: Memory, pgoff: number, npage: number): void;

  /**
   * Makes one huge page of an aligned block of 2 MiB of the file, and maps it (MADV_COLLAPSE).
   *
   * @param mm address space
   * @param vma the mapping, which contains the block; it is aligned in the file, too
   * @param vpn first virtual page of the block
   * @returns 0 or a negative errno
   */
  collapse?(mm: MmStruct, vma: Vma, vpn: Vpn): number;

  /**
   * Makes an access possible, or says why not.
   *
   * @param mm address space
   * @param vma the VMA that contains the page
   * @param vpn virtual page
   * @param flags {@link FAULT_FLAG}
   * @returns 0, or a {@link VM_FAULT} code
   */
  fault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number;
}

/**
 * Handles a fault of one page; the caller holds the mmap lock.
 *
 * @param mm address space
 * @param vma the VMA that contains the page
 * @param vpn virtual page
 * @param flags {@link FAULT_FLAG}
 * @returns 0, or a {@link VM_FAULT} code
 * @source mm/memory.c handle_mm_fault, sanitize_fault_flags, 6.16
 */
export function handleMmFault(mm: MmStruct, vma: Vma, vpn: Vpn, flags: number): number {
  mm.memory.counters.add(Slot.pageFaults, 1);
  const need = flags & FAULT_FLAG.WRITE ? VM.WRITE : 0;
  if ((vma.flags & need) !== need) return VM_FAULT.SIGSEGV;
  return vma.ops === null ? VM_FAULT.SIGBUS : vma.ops.fault(mm, vma, vpn, flags);
}

/**
 * Makes a page of another process accessible, without taking a reference.
 *
 * @param mm address space
 * @param vpn virtual page
 * @param write whether it will be written to
 * @param offset offset of the address in its page, in bytes, which only a tracer sees; default 0
 * @returns 0; -EFAULT if there is no VMA, it does not allow the access, or nothing is behind it;
 *   -ENOMEM without a free frame
 * @source mm/gup.c fixup_user_fault, 6.16
 */
export function fixupUserFault(mm: MmStruct, vpn: Vpn, write: boolean, offset = 0): number {
  const { tracer } = mm.memory.counters;
  const flags = write ? FAULT_FLAG.WRITE : 0;
  mm.memory.counters.add(Slot.fixupFaults, 1);
  tracer?.enter('fixup_user_fault', vpn, offset, FAULT_FLAG_REMOTE | flags);
  const vma = mm.vmas.lookup(vpn);
  const allowed = vma !== null && (vma.flags & (write ? VM.WRITE : VM.READ)) !== 0;
  const ret = allowed ? faultErrno(handleMmFault(mm, vma, vpn, flags)) : -Errno.EFAULT;
  tracer?.exit('fixup_user_fault', ret);
  return ret;
}

/**
 * The errno that GUP makes of a failed fault.
 *
 * @param code 0 or a {@link VM_FAULT} code
 * @returns 0, -ENOMEM or -EFAULT
 * @source include/linux/mm.h vm_fault_to_errno, 6.16
 */
export function faultErrno(code: number): number {
  if (code === 0) return 0;
  return code === VM_FAULT.OOM ? -Errno.ENOMEM : -Errno.EFAULT;
}

/**
 * Reads or writes one page as the process itself would, faulting until the access is possible.
 *
 * @param mm address space
 * @param vpn virtual page
 * @param write whether to write
 * @returns 0, or the {@link VM_FAULT} code that would become a signal
 * @source arch/x86/mm/fault.c do_user_addr_fault, 6.16
 */
export function touchPage(mm: MmStruct, vpn: Vpn, write: boolean): number {
  const vma = mm.vmas.lookup(vpn);
  if (vma === null) return VM_FAULT.SIGSEGV;
  // x86 cannot write without reading.
  const allowed = write ? VM.WRITE : VM.READ | VM.WRITE;
  if ((vma.flags & allowed) === 0) return VM_FAULT.SIGSEGV;
  for (let attempt = 0; attempt < 4; attempt++) {
    if (mm.pageTable.allows(vpn, write)) return 0;
    const code = handleMmFault(mm, vma, vpn, write ? FAULT_FLAG.WRITE : 0);
    if (code !== 0) return code;
  }
  throw new ModelBug(
    `virtual page ${vpn} faults again and again (${vma.ops?.name ?? 'no'} memory)`,
  );
}
