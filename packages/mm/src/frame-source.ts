/**
 * Where page frames come from. Everything that needs a frame asks one `FrameSource`: a prescribed
 * layout here, a recording or the buddy allocator elsewhere.
 *
 * @source design: "All frames come from one FrameSource"
 */
import { InputError, type Pfn, type Vpn } from '@pinfold/base';

/**
 * Asks for frames that will be pinned for long: none of ZONE_MOVABLE or a CMA area
 * (PF_MEMALLOC_PIN).
 */
export const LONGTERM_PIN = 0x100;

/** The answer of a {@link FrameSource}: a run of frames, filled in by it. */
export class FrameRun {
  /** First page frame, or -1: these pages get no frame (a hole). */
  pfn: Pfn = -1;
  /** Length of the run in pages, at least 1. */
  npage = 0;
  /** Order of the folios that the frames belong to; folios are naturally aligned. */
  order = 0;
}

/** Answers which frames back which virtual pages. */
export interface FrameSource {
  /**
   * The frames for virtual pages from one on.
   *
   * @param vpn first virtual page
   * @param npage pages wanted, at least 1
   * @param order folio order wanted; the answer's may be smaller (fallback)
   * @param out gets the run: at most `npage` pages that are contiguous in both spaces
   * @param pageFlags {@link PG} flags of what the frames are for: anonymous, hugetlb; 0 for a file;
   *   and {@link LONGTERM_PIN}
   */
  framesFor(vpn: Vpn, npage: number, order: number, out: FrameRun, pageFlags?: number): void;

  /**
   * Told of a folio that was freed, if the source wants its frames back.
   *
   * @param pfn first page frame
   * @param order folio order
   * @param pageFlags {@link PG} flags that it had
   */
  framesFreed?(pfn: Pfn, order: number, pageFlags: number): void;
}

/** One run of a prescribed layout. */
export interface LayoutRun {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** First page frame; the folio's head is this pfn rounded down to the order. */
  readonly pfn: Pfn;
  /** Length in pages, contiguous in both spaces. */
  readonly npage: number;
  /** Order of the folios; the run may hold many of them. */
  readonly order: number;
}

/** Frames in a prescribed layout: runs of virtual page, pfn, count and folio order. */
export class PrescribedLayout implements FrameSource {
  readonly #runs: readonly LayoutRun[];

  /**
   * @param runs the layout in any order; virtual pages of no run are holes
   * @throws {InputError} when two runs overlap in virtual pages, or a run is empty
   */
  constructor(runs: readonly LayoutRun[]) {
    this.#runs = [...runs].sort((a, b) => a.vpn - b.vpn);
    let end = 0;
    for (const run of this.#runs) {
      const place = `layout run at virtual page ${run.vpn}`;
      if (!(run.npage > 0)) throw new InputError(place, 'at least one page', `${run.npage} pages`);
      if (run.vpn < end)
        throw new InputError(place, 'runs that do not overlap', `a start below ${end}`);
      end = run.vpn + run.npage;
    }
  }

  framesFor(vpn: Vpn, npage: number, _order: number, out: FrameRun): void {
    const at = this.#firstEndingAfter(vpn);
    const run = this.#runs[at];
    if (run === undefined || run.vpn > vpn) {
      out.pfn = -1;
      out.npage = Math.min(npage, run === undefined ? npage : run.vpn - vpn);
      return;
    }
    const skip = vpn - run.vpn;
    out.pfn = run.pfn + skip;
    out.npage = Math.min(npage, run.npage - skip);
    out.order = run.order;
  }

  #firstEndingAfter(vpn: Vpn): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const run = this.#runs[middle];
      if (run.vpn + run.npage <= vpn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
