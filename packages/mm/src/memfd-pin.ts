/**
 * Pins of a file in memory, folio by folio and without an address space: what iommufd uses for
 * memory that is given as a file.
 *
 * Left out: the look-up of 31 folios at a time, which no result shows.
 *
 * @source mm/gup.c memfd_pin_folios, folio_add_pins, mm/memfd.c memfd_alloc_folio, 7.2; reference
 * iommufd.md §3
 */
import { Errno, offsetIn, pagesOf, Slot, type Pfn } from '@pinfold/base';
import { folioOrderOf, tryGrabFolio } from './folio.ts';
import type { MmStruct } from './mm-struct.ts';
import type { Memory } from './memory.ts';
import type { MappedFile } from './page-cache.ts';

/** The folios that a pin has found, in the order of the file. */
export class PinnedFolios {
  /** First frame of every folio. */
  readonly pfn: Float64Array;
  /** How many they are. */
  count = 0;
  /** Pages of the first folio that lie before the range. */
  offset = 0;

  /** @param capacity folios at most */
  constructor(capacity: number) {
    this.pfn = new Float64Array(capacity);
  }
}

/**
 * Pins the folios that hold a range of a file, one pin each; what the page cache lacks is allocated.
 *
 * @param mm address space on whose behalf folios are allocated
 * @param file the file
 * @param start first page of the range
 * @param last last page of the range, inclusive
 * @param out gets the folios
 * @param options `beyond`: whether the last page lies beyond the end of the file in bytes
 * @returns number of folios; -EINVAL for a file on a disk, or a range that ends beyond the end of
 *   the file; -ENOMEM without a free frame
 * @source mm/gup.c memfd_pin_folios, 7.2; recordings 7.2-iofd f02 and f07
 */
export function memfdPinFolios(
  mm: MmStruct,
  file: MappedFile,
  start: number,
  last: number,
  out: PinnedFolios,
  { beyond = false }: { readonly beyond?: boolean } = {},
): number {
  const { counters } = mm.memory;
  const { tracer } = counters;
  counters.add(Slot.memfdPinCalls, 1);
  if (tracer?.details) {
    tracer.enter('memfd_pin_folios', start, 0, last, 4095, out.pfn.length);
  }
  out.count = 0;
  const ret = beyond ? -Errno.EINVAL : pinFolios(mm, file, start, last, out);
  if (tracer?.details) tracer.exit('memfd_pin_folios', ret);
  return ret;
}

function pinFolios(
  mm: MmStruct,
  file: MappedFile,
  start: number,
  last: number,
  out: PinnedFolios,
): number {
  if (file.kind === 'disk' || start > last || last >= file.npage) return -Errno.EINVAL;
  const { memory } = mm;
  const max = out.pfn.length;
  for (let at = start; at <= last && out.count < max;) {
    const pfn = file.cached(at) ?? allocFolio(mm, file, at);
    if (pfn < 0) return out.count > 0 ? out.count : -Errno.ENOMEM;
    const order = folioOrderOf(memory.memmap, pfn);
    const within = offsetIn(pfn, order);
    grab(memory, pfn, 1);
    if (out.count === 0) out.offset = within;
    out.pfn[out.count++] = pfn - within;
    memory.vmstat.nrFollPinAcquired++;
    at += pagesOf(order) - within;
  }
  return out.count;
}

/** memfd_alloc_folio: a folio for a hole of the file. */
function allocFolio(mm: MmStruct, file: MappedFile, pgoff: number): Pfn {
  const { counters } = mm.memory;
  counters.add(Slot.memfdAllocs, 1);
  if (counters.tracer?.details) {
    counters.tracer.repeat(
      'memfd_alloc_folio',
      1,
      Math.floor(pgoff / pagesOf(file.order)),
      0,
      0,
      0,
    );
  }
  return file.allocate(mm, pgoff);
}

/**
 * Takes further pins of a folio that is pinned already.
 *
 * @param memory the machine's memory
 * @param pfn any page of the folio
 * @param pins pins to take, at least 1
 * @returns 0, or -ENOMEM when the count would overflow
 * @source mm/gup.c folio_add_pins, 7.2
 */
export function folioAddPins(memory: Memory, pfn: Pfn, pins: number): number {
  const { counters, vmstat } = memory;
  counters.add(Slot.folioAddPinsCalls, 1);
  if (counters.tracer?.details) counters.tracer.repeat('folio_add_pins', 1, pins, 0, 0, 0);
  if (!grab(memory, pfn, pins)) return -Errno.ENOMEM;
  vmstat.nrFollPinAcquired += pins;
  return 0;
}

function grab(memory: Memory, pfn: Pfn, refs: number): boolean {
  const { counters, memmap } = memory;
  if (counters.tracer?.details) counters.tracer.repeat('try_grab_folio', 1, refs, 0, 0, 0);
  const atomics = tryGrabFolio(memmap, pfn, refs);
  counters.add(Slot.folioGrabs, 1);
  counters.add(Slot.grabAtomics, atomics);
  return atomics > 0;
}
