/**
 * Frames that a scenario prescribes: huge pages and copies lie where `frames=` and `copies=` of an
 * mmap say, and nothing else lies there.
 */
import { pagesOf, type Pfn, type Vpn } from '@pinfold/base';
import { PG, type FrameRun, type FrameSource, type MemMap } from '@pinfold/mm';
import type { FrameExtent } from '@pinfold/scenario';

/** Frames for virtual pages. */
interface PlacedRun {
  readonly vpn: Vpn;
  readonly npage: number;
  readonly pfn: Pfn;
}

/** Tries of the source behind, until it hands out a frame that no scenario has prescribed. */
const MAX_TRIES = 4096;

/** Hands out what was prescribed, and else what another source has. */
export class PlacedFrames implements FrameSource {
  readonly #memmap: MemMap;
  readonly #source: FrameSource | null;
  readonly #hugePages: PlacedRun[] = [];
  readonly #copies: PlacedRun[] = [];
  readonly #taken: { readonly pfn: Pfn; readonly end: Pfn }[] = [];

  /**
   * @param memmap memory map, which knows what is free
   * @param source hands out what is not prescribed
   */
  constructor(memmap: MemMap, source: FrameSource | null) {
    this.#memmap = memmap;
    this.#source = source;
  }

  /**
   * Keeps the frames of a region for it.
   *
   * @param vpn first virtual page of the region
   * @param extents its frames
   * @param huge whether they are huge pages, which are taken out of their pool by faults
   */
  place(vpn: Vpn, extents: readonly FrameExtent[], huge: boolean): void {
    let at = vpn;
    for (const { pfn, npage, order } of extents) {
      const head = pfn - (pfn % pagesOf(order));
      this.#taken.push({
        pfn: head,
        end: Math.ceil((pfn + npage) / pagesOf(order)) * pagesOf(order),
      });
      if (huge) this.#hugePages.push({ vpn: at, npage, pfn });
      at += npage;
    }
  }

  /**
   * Prescribes where copies of a region's pages lie: that of page i at frame pfn + i.
   *
   * @param vpn first virtual page of the region
   * @param npage its length in pages
   * @param pfn frame of a copy of its first page
   */
  placeCopies(vpn: Vpn, npage: number, pfn: Pfn): void {
    this.#copies.push({ vpn, npage, pfn });
    this.#taken.push({ pfn, end: pfn + npage });
  }

  framesFor(vpn: Vpn, npage: number, order: number, out: FrameRun, pageFlags = 0): void {
    const huge = (pageFlags & PG.hugetlb) !== 0;
    const own = huge || (pageFlags & PG.anon) !== 0;
    const pfn = own ? this.#placedAt(huge ? this.#hugePages : this.#copies, vpn) : -1;
    if (pfn >= 0) {
      out.pfn = pfn;
      out.npage = pagesOf(order);
      out.order = order;
      return;
    }
    for (let i = 0; i < MAX_TRIES; i++) {
      out.pfn = -1;
      this.#source?.framesFor(vpn, npage, order, out, pageFlags);
      if (out.pfn < 0 || !this.#overlaps(out.pfn, pagesOf(out.order))) return;
    }
    out.pfn = -1;
  }

  framesFreed(pfn: Pfn, order: number, pageFlags: number): void {
    if (!this.#overlaps(pfn, 1)) this.#source?.framesFreed?.(pfn, order, pageFlags);
  }

  /** The frame that a list has for a page, if it is free; else -1. */
  #placedAt(runs: readonly PlacedRun[], vpn: Vpn): Pfn {
    const run = runs.find((one) => vpn >= one.vpn && vpn < one.vpn + one.npage);
    if (run === undefined) return -1;
    const pfn = run.pfn + (vpn - run.vpn);
    const memmap = this.#memmap;
    return memmap.refcount[memmap.headEntryOf(pfn)] === 0 ? pfn : -1;
  }

  #overlaps(pfn: Pfn, npage: number): boolean {
    return this.#taken.some((one) => pfn < one.end && pfn + npage > one.pfn);
  }
}
