/**
 * Get user pages, the slow path, one page-table leaf after the other as the kernel's loop is
 * written: what `pinUserPagesRemote` must agree with, page by page and count by count.
 *
 * It reads the address space and the memory map, and changes neither.
 */
import { Errno } from '@pinfold/base';
import { FOLL } from '../src/foll.ts';
import type { MmStruct } from '../src/mm-struct.ts';
import { PTE } from '../src/page-table.ts';
import { VM } from '../src/vma.ts';

/** What one call does. */
export interface PlainGup {
  /** Pages pinned, or a negative errno. */
  readonly ret: number;
  /** Frames of the pages that were filled in, also if they are unpinned again. */
  readonly pfns: readonly number[];
  readonly steps: number;
  readonly grabs: number;
  readonly atomics: number;
}

/** The loop of __get_user_pages, with the longterm check after it. */
export function plainGup(mm: MmStruct, start: number, npage: number, gupFlags: number): PlainGup {
  const { memmap } = mm.memory;
  const { pageTable } = mm;
  const pfns: number[] = [];
  let [steps, grabs, atomics] = [0, 0, 0];
  while (pfns.length < npage) {
    const vpn = start + pfns.length;
    if (!allowed(mm, vpn, gupFlags) || !pageTable.walk(vpn)) break;
    const table = pageTable.level === 0 ? pageTable.ptes : pageTable.dirs;
    const bits = table.bits[pageTable.index];
    const need = gupFlags & FOLL.WRITE ? PTE.write : PTE.anonExclusive;
    if (!(bits & PTE.present) || !(bits & need) || bits & PTE.special) break;
    const leafPages = 2 ** (pageTable.tableBits * pageTable.level);
    const offset = vpn % leafPages;
    const first = table.frame[pageTable.index] + offset;
    const increm = Math.min(leafPages - offset, npage - pfns.length);
    const large = memmap.order[memmap.headEntryOf(first)] > 0;
    steps++;
    for (const refs of increm > 1 ? [1, increm - 1] : [1]) {
      if (refs > 0) grabs++;
      atomics += large ? 2 : 1;
    }
    for (let i = 0; i < increm; i++) pfns.push(first + i);
  }
  const movable = gupFlags & FOLL.LONGTERM && pfns.some((pfn) => !memmap.longtermPinnable(pfn));
  const ret = pfns.length === 0 ? -Errno.EFAULT : movable ? -Errno.ENOMEM : pfns.length;
  return { ret, pfns, steps, grabs, atomics };
}

/** check_vma_flags. */
function allowed(mm: MmStruct, vpn: number, gupFlags: number): boolean {
  const vma = mm.vmas.lookup(vpn);
  if (!vma || vma.flags & (VM.IO | VM.PFNMAP)) return false;
  return (vma.flags & (gupFlags & FOLL.WRITE ? VM.WRITE : VM.READ)) !== 0;
}
