/** Frames for faults: free ones, the lowest first or in a seeded order, and none when told so. */
import { isAligned, mulberry32, pagesOf, X86_64, type PageGeometry, type Pfn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '../src/frame-source.ts';
import type { MemoryRange } from '../src/sections.ts';

/** Where folios lie: smaller than a PMD leaf, as large, and larger. Each unit is whole sections. */
function placesOf({ sectionPages, pmdOrder }: PageGeometry): readonly MemoryRange[] {
  const unit = Math.max(sectionPages, 16 * 2 ** pmdOrder);
  return [
    { pfn: unit, npage: unit },
    { pfn: 2 * unit, npage: 4 * unit },
    { pfn: 8 * unit, npage: 16 * unit },
  ];
}

const [SMALL, HUGE] = placesOf(X86_64);

/** First frame of small folios. */
export const SMALL_PFN: Pfn = SMALL.pfn;
/** First frame of 2 MiB folios. */
export const HUGE_PFN: Pfn = HUGE.pfn;

/** The memory of a machine whose frames come from {@link FreeFrames}. */
export function freeMemory(geometry: PageGeometry): readonly MemoryRange[] {
  return placesOf(geometry);
}

/** Hands out free frames; a folio of the wanted order or nothing. */
export class FreeFrames implements FrameSource {
  /** How many folios may still be handed out. */
  left = Infinity;
  /** The largest order that is to be had. */
  maxOrder = 18;
  readonly #used = new Set<Pfn>();
  readonly #random: (() => number) | null;

  readonly #geometry: PageGeometry;

  /**
   * @param seed chooses the order; without one, the lowest frames come first
   * @param geometry of the machine; default x86-64
   */
  constructor(seed?: number, geometry: PageGeometry = X86_64) {
    this.#geometry = geometry;
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
    const { pmdOrder } = this.#geometry;
    const which = order < pmdOrder ? 0 : order < 2 * pmdOrder ? 1 : 2;
    const { pfn, npage } = placesOf(this.#geometry)[which];
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
