/** Overcommit: whether there can be enough memory for a new mapping. */
import type { Memory } from './memory.ts';

/**
 * The heuristic of `vm.overcommit_memory` 0: one call must not ask for more than there is in all.
 * The model has no swap.
 *
 * @param memory the machine's memory
 * @param npage pages that one call asks for
 * @returns false where the kernel answers ENOMEM
 * @source mm/util.c __vm_enough_memory, 6.16; recordings of family more, edge05
 */
export function vmEnoughMemory(memory: Memory, npage: number): boolean {
  return npage <= memory.totalRamPages;
}
