/** Frames for faults: free ones, the lowest first or in a seeded order, and none when told so. */
import { isAligned, mulberry32, pagesOf, type Pfn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '../src/frame-source.ts';
import type { MemoryRange } from '../src/sections.ts';
import { SECTION } from './machine.ts';

/** Where folios lie: up to 1 MiB, up to 2 MiB, and up to 1 GiB. */
const SMALL = { pfn: SECTION, npage: SECTION };
const HUGE = { pfn: 2 * SECTION, npage: 4 * SECTION };
const GIGANTIC = { pfn: 8 * SECTION, npage: 16 * SECTION };

/** First frame of small folios. */
export const SMALL_PFN: Pfn = SMALL.pfn;
/** First frame of 2 MiB folios. */
export const HUGE_PFN: Pfn = HUGE.pfn;

/** The memory of a machine whose frames come from {@link FreeFrames}. */
export const FREE_MEMORY: readonly MemoryRange[] = [SMALL, HUGE, GIGANTIC];

/** Hands out free frames; a folio of the wanted order or nothing. */
export class FreeFrames implements FrameSource {
  /** How many folios may still be handed out. */
  left = Infinity;
  /** The largest order that is to be had. */
  maxOrder = 18;
  readonly #used = new Set<Pfn>();
  readonly #random: (() => number) | null;

  /** @param seed chooses the order; without one, the lowest frames come first */
  constructor(seed?: number) {
    this.#random = seed === undefined ? null : mulberry32(seed);
  }

  framesFor(_vpn: number, _npage: number, order: number, out: FrameRun): void {
    const pfn = this.left > 0 && order <= this.maxOrder ? this.#freeBlock(order) : -1;
    out.pfn = pfn;
    out.npage = pagesOf(order);
    out.order = order;
    if (pfn < 0) return;
    this.left--;
    for (let i = 0; i < pagesOf(order); i++) this.#used.add(pfn + i);
  }

  framesFreed(pfn: Pfn, order: number): void {
    for (let i = 0; i < pagesOf(order); i++) this.#used.delete(pfn + i);
  }

  /** A block none of whose pages is used, looked for from a place on and around. */
  #freeBlock(order: number): Pfn {
    const { pfn, npage } = order < 9 ? SMALL : order < 18 ? HUGE : GIGANTIC;
    const blocks = npage / pagesOf(order);
    const from = this.#random === null ? 0 : Math.floor(this.#random() * blocks);
    for (let i = 0; i < blocks; i++) {
      const block = pfn + ((from + i) % blocks) * pagesOf(order);
      if (isAligned(block, order) && this.#isFree(block, order)) return block;
    }
    return -1;
  }

  #isFree(pfn: Pfn, order: number): boolean {
    for (let i = 0; i < pagesOf(order); i++) if (this.#used.has(pfn + i)) return false;
    return true;
  }
}
