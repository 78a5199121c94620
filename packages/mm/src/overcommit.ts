/**
 * Overcommit: what a process may map although there is no memory for all of it.
 *
 * @source mm/util.c __vm_enough_memory, mm/vma.c accountable_mapping, 6.16;
 * Documentation/mm/overcommit-accounting.rst
 */
import type { Memory } from './memory.ts';
import { VM } from './vma.ts';

/**
 * Whether a mapping counts as memory that the process may come to write to: private and writable,
 * without MAP_NORESERVE. Huge pages have an accounting of their own.
 *
 * @param flags {@link VM} flags of the mapping
 * @returns true if it counts
 * @source mm/vma.c accountable_mapping, 6.16
 */
export function accountableMapping(flags: number): boolean {
  return (flags & (VM.NORESERVE | VM.SHARED | VM.WRITE | VM.HUGETLB)) === VM.WRITE;
}

/**
 * Whether one mapping may be so long: with overcommit_memory 0, the default, it may be as long as all
 * memory of the machine (there is no swap), whatever is in use.
 *
 * @param memory the machine's memory
 * @param npage length of the mapping in pages
 * @returns false for -ENOMEM
 * @source mm/util.c __vm_enough_memory (OVERCOMMIT_GUESS), 6.16; README-more, "Sizes at the end of
 * the address space"
 */
export function vmEnoughMemory(memory: Memory, npage: number): boolean {
  return npage <= memory.totalRamPages;
}
