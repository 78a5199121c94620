/**
 * Memory whose frames a scenario prescribes (`frames=`, `copies=` of an mmap): it is there as soon
 * as it is mapped.
 */
import { Errno, InputError, offsetIn, pagesOf, PMD_ORDER } from '@pinfold/base';
import { anonymousMemory, placeAnonymous, touchPage, type MmStruct } from '@pinfold/mm';
import type { FrameExtent } from '@pinfold/scenario';
import type { Region } from './guest-process.ts';
import type { MmapOperation } from '../operations/memory/mmap.ts';
import { PlacedFrames } from './placed-frames.ts';

/** Populates the regions of one process. */
export class PlacedMemory {
  readonly #mm: MmStruct;
  readonly #frames: PlacedFrames;

  /** @param mm address space of the process */
  constructor(mm: MmStruct) {
    const { memory } = mm;
    this.#mm = mm;
    this.#frames = new PlacedFrames(memory.memmap, memory.frames);
    memory.frames = this.#frames;
  }

  /**
   * Populates a region that was just mapped.
   *
   * @param operation the mmap, with `frames` or `copies`
   * @param region the region
   * @param pgoff page of the file that it begins with
   * @throws {InputError} when the frames are not free, too few, or not for this kind of memory
   */
  populate(operation: MmapOperation, { vpn, npage, file }: Region, pgoff: number): void {
    const { frames, copies, kind, name } = operation;
    if (copies !== undefined) {
      this.#checkMemory(`mmap ${name} copies=`, copies, npage);
      this.#frames.placeCopies(vpn, npage, copies);
    }
    if (frames === undefined) return;
    const place = `mmap ${name} frames=`;
    const huge = kind === 'huge2m' || kind === 'memfd2m';
    const anonymous = this.#mm.vmas.lookup(vpn)?.ops === anonymousMemory;
    if (!huge && !anonymous && (!file || file.order > 0)) {
      throw new InputError(place, 'memory of kind anon, memfd, file, huge2m or memfd2m', kind);
    }
    for (const extent of frames) this.#checkExtent(place, extent, huge, anonymous);
    const pages = frames.reduce((sum, extent) => sum + extent.npage, 0);
    const needed = anonymous || huge ? npage : pgoff + npage;
    if (pages < needed) throw new InputError(place, `${needed} pages`, `${pages}`);
    this.#frames.place(vpn - (huge ? pgoff : 0), frames, huge);
    if (anonymous) this.#placeAnonymous(operation, vpn, npage);
    else {
      if (!huge && file) {
        let at = 0;
        for (const extent of frames) {
          const step = pagesOf(extent.order);
          for (let i = 0; i < extent.npage; i += step) {
            file.place(this.#mm.memory, at + i, extent.pfn + i, extent.order);
          }
          at += extent.npage;
        }
      }
      this.#touchAll(operation, vpn, npage);
    }
  }

  /** Only anonymous memory may hold a part of a folio. */
  #checkExtent(place: string, extent: FrameExtent, huge: boolean, anonymous: boolean): void {
    const { pfn, npage, order } = extent;
    const step = pagesOf(huge ? PMD_ORDER : order);
    const head = pfn - offsetIn(pfn, order);
    this.#checkMemory(place, head, npage + (pfn - head));
    if (anonymous || (pfn % step === 0 && npage % step === 0)) return;
    const expected = `whole folios of ${step} pages, aligned, in ${huge ? 'huge pages' : 'a file'}`;
    throw new InputError(place, expected, `${npage} pages from frame ${pfn} on`);
  }

  /** The machine must have the frames. */
  #checkMemory(place: string, pfn: number, npage: number): void {
    const { memmap } = this.#mm.memory;
    for (let at = pfn; at < pfn + npage; at += memmap.sectionPages) {
      if (!memmap.pfnValid(at)) throw new InputError(place, 'frames of its memory', `frame ${at}`);
    }
    const last = pfn + npage - 1;
    if (!memmap.pfnValid(last))
      throw new InputError(place, 'frames of its memory', `frame ${last}`);
  }

  #placeAnonymous({ frames = [] }: MmapOperation, vpn: number, npage: number): void {
    const vma = this.#mm.vmas.lookup(vpn);
    let at = 0;
    for (const extent of frames) {
      const n = Math.min(extent.npage, npage - at);
      if (vma && n > 0) placeAnonymous(this.#mm, vma, vpn + at, extent.pfn, n, extent.order);
      at += extent.npage;
    }
  }

  /** Faults every page in: huge pages for writing, pages of a file for reading. */
  #touchAll({ kind, prot, flags, name }: MmapOperation, vpn: number, npage: number): void {
    const own = kind === 'huge2m' && !flags.includes('shared');
    const write = prot.includes('w') && own;
    const { pageTable } = this.#mm;
    for (let at = vpn; at < vpn + npage;) {
      if (touchPage(this.#mm, at, write) === 0) {
        const order = pageTable.walk(at) ? PMD_ORDER * pageTable.level : 0;
        at += pagesOf(order) - offsetIn(at, order);
        continue;
      }
      throw new InputError(
        `mmap ${name} frames=`,
        'frames that are free',
        `none (-${Errno.EFAULT})`,
      );
    }
  }
}
