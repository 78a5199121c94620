/**
 * Looking up what a pure pfn mapping maps to (device memory): no reference is taken.
 *
 * @source mm/memory.c follow_pfnmap_start, 6.16; reference mm.md §5.7
 */
import { Errno, Slot, type Pfn, type Vpn } from '@pinfold/base';
import type { MmStruct } from './mm-struct.ts';
import { PTE } from './page-table.ts';
import { VM, type Vma } from './vma.ts';

/** What `follow_pfnmap_start` answers. */
export interface FollowPfnmap {
  /** Page frame of the page asked for, already offset inside the leaf. */
  readonly pfn: Pfn;
  /** Pages of the leaf that maps it (the address mask in pages). */
  readonly leafPages: number;
  /** Whether the entry allows writing. */
  readonly writable: boolean;
}

/**
 * Follows a pfn mapping at one page.
 *
 * @param mm address space
 * @param vma the VMA that contains the page
 * @param vpn virtual page
 * @param offset offset of the address in its page, in bytes, which only a tracer sees; default 0
 * @returns the entry; or -EINVAL if the VMA is no VM_IO or VM_PFNMAP, or the page is not present
 * @source mm/memory.c follow_pfnmap_start, 6.16
 */
export function followPfnmap(mm: MmStruct, vma: Vma, vpn: Vpn, offset = 0): FollowPfnmap | number {
  const { counters, rules } = mm.memory;
  const { tracer } = counters;
  counters.add(Slot.pfnmapFollows, 1);
  tracer?.enter(rules.pfnmapWalk, vpn, offset);
  const entry = walkTo(mm, vma, vpn);
  tracer?.exit(rules.pfnmapWalk, typeof entry === 'number' ? entry : 0);
  return entry;
}

function walkTo(mm: MmStruct, vma: Vma, vpn: Vpn): FollowPfnmap | number {
  const { pageTable } = mm;
  if ((vma.flags & (VM.IO | VM.PFNMAP)) === 0) return -Errno.EINVAL;
  const pfn = vpn < pageTable.virtualPages ? pageTable.pfnAt(vpn) : -1;
  if (pfn < 0) return -Errno.EINVAL;
  const table = pageTable.level === 0 ? pageTable.ptes : pageTable.dirs;
  return {
    pfn,
    leafPages: 2 ** (pageTable.tableBits * pageTable.level),
    writable: (table.bits[pageTable.index] & PTE.write) !== 0,
  };
}
