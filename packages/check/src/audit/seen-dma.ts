/** What the process's page table held in the range of a mapping when that was made. */
import { pagesOf, PMD_ORDER, type Pfn } from '@pinfold/base';
import { PTE, VM } from '@pinfold/mm';
import type { VfioDma } from '@pinfold/vfio-type1';

/** Pages of a mapping whose frames follow each other. */
export interface FrameRun {
  /** First page, counted from the start of the mapping. */
  readonly at: number;
  /** Its frame. */
  readonly pfn: Pfn;
  /** Length in pages. */
  npage: number;
  /** Whether it is memory that has to be pinned; a device's is not. */
  readonly ram: boolean;
}

/** A mapping as it was when it was made. */
export class SeenDma {
  /** Its pages in order; where the process had nothing, there is no run. */
  readonly runs: readonly FrameRun[];
  /** Pages that have to be pinned. */
  readonly pinned: number;

  /** @param dma the mapping, of memory that the process still has */
  constructor(dma: VfioDma) {
    const runs = runsOf(dma);
    let pinned = 0;
    for (const { npage, ram } of runs) if (ram) pinned += npage;
    this.runs = runs;
    this.pinned = pinned;
  }

  /**
   * The frame of a page.
   *
   * @param at the page, counted from the start of the mapping
   * @returns its frame, or -1 where the process had nothing
   */
  frameAt(at: number): Pfn {
    const run = this.#runAt(at);
    return run ? run.pfn + (at - run.at) : -1;
  }

  /**
   * Compares pages with frames that follow each other.
   *
   * @param at first page, counted from the start of the mapping
   * @param pfn frame that it ought to have
   * @param npage pages
   * @returns the first page that has another frame; -1 if all have theirs
   */
  firstOther(at: number, pfn: Pfn, npage: number): number {
    const end = at + npage;
    for (let page = at; page < end;) {
      const run = this.#runAt(page);
      if (run?.pfn !== pfn + (page - at) - (page - (run?.at ?? 0))) return page;
      page = run.at + run.npage;
    }
    return -1;
  }

  /**
   * Looks for a folio.
   *
   * @param pfn its first frame
   * @param npage its pages
   * @returns the first page of the mapping that is a part of it; -1 without one
   */
  firstOf(pfn: Pfn, npage: number): number {
    for (const run of this.runs) {
      const first = Math.max(run.pfn, pfn);
      if (first < Math.min(run.pfn + run.npage, pfn + npage)) return run.at + (first - run.pfn);
    }
    return -1;
  }

  #runAt(at: number): FrameRun | undefined {
    const { runs } = this;
    let [low, high] = [0, runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (runs[middle].at + runs[middle].npage <= at) low = middle + 1;
      else high = middle;
    }
    return low < runs.length && runs[low].at <= at ? runs[low] : undefined;
  }
}

function runsOf({ mm, vaddr, npage }: VfioDma): FrameRun[] {
  const runs: FrameRun[] = [];
  let last: FrameRun | undefined;
  for (const vma of mm.vmas.overlapping(vaddr, vaddr + npage)) {
    const memory = (vma.flags & VM.PFNMAP) === 0;
    const start = Math.max(vaddr, vma.start);
    const end = Math.min(vaddr + npage, vma.end);
    mm.pageTable.forEachLeaf(start, end, (vpn, frame, level, bits) => {
      // The zero page is reserved: where a pin may return it, it is neither held nor charged.
      const ram = memory && (level > 0 || (bits & PTE.special) === 0);
      const from = Math.max(start, vpn);
      const pages = Math.min(vpn + pagesOf(PMD_ORDER * level), end) - from;
      const [at, pfn] = [from - vaddr, frame + (from - vpn)];
      if (last?.ram === ram && at - last.at === last.npage && pfn - last.pfn === last.npage) {
        last.npage += pages;
      } else runs.push((last = { at, pfn, npage: pages, ram }));
    });
  }
  return runs;
}
