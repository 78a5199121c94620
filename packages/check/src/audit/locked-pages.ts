/** What locked_vm of a process has to be. */
import { VM, type MmStruct } from '@pinfold/mm';
import type { VfioDma } from '@pinfold/vfio-type1';

/**
 * Pages that a process has locked: what its mappings for DMA have charged, and what is mlocked.
 *
 * @param mm its memory
 * @param dmas the mappings of all processes
 * @returns pages
 */
export function lockedPages(mm: MmStruct, dmas: readonly VfioDma[]): number {
  let pages = 0;
  for (const dma of dmas) if (dma.mm === mm) pages += dma.lockedVm;
  for (const { flags, start, end } of mm.vmas) if (flags & VM.LOCKED) pages += end - start;
  return pages;
}
