/**
 * Frames as a real kernel handed them out: every page that is faulted in during a step gets the
 * frame and the folio order that the recording shows after it.
 *
 * @source recordings README, "Layout extents"; design, "All frames come from one FrameSource"
 */
import { isAligned, type Vpn } from '@pinfold/base';
import { FrameRun, PG, type FrameSource } from '@pinfold/mm';
import type { LayoutExtent } from '@pinfold/scenario';

/** A recorded region: where it lies, and its extents. */
export interface RecordedRegion {
  /** First virtual page. */
  readonly vpn: Vpn;
  /** Its pages that are present, by offset. */
  readonly extents: readonly LayoutExtent[];
}

/** Hands out the frames of a recorded layout. */
export class RecordedFrames implements FrameSource {
  #regions: readonly RecordedRegion[] = [];
  readonly #files: readonly RecordedRegion[];
  readonly #unseen: FrameSource;

  /**
   * @param files where the pages of files lie that any step shows: they are in the page cache
   *   before they are mapped
   * @param unseen hands out what no layout shows: page cache under a copy, a page that did not stay
   */
  constructor(files: readonly RecordedRegion[], unseen: FrameSource) {
    this.#files = files;
    this.#unseen = unseen;
  }

  /**
   * Sets the layout that the coming step will have led to.
   *
   * @param regions every region, also those that the step does not change
   */
  setLayout(regions: readonly RecordedRegion[]): void {
    this.#regions = regions.map(({ vpn, extents }) => ({
      vpn,
      // The zero page is no frame that anybody is given.
      extents: extents.filter(([, , , , flags]) => !flags.includes('z')),
    }));
  }

  framesFor(vpn: Vpn, npage: number, order: number, out: FrameRun, pageFlags = 0): void {
    const anon = (pageFlags & PG.anon) !== 0;
    const shown = runAt(this.#regions, vpn, out, anon);
    if (!shown && (anon || !runAt(this.#files, vpn, out, anon))) {
      this.#unseen.framesFor(vpn, npage, order, out);
      return;
    }
    const regions = shown ? this.#regions : this.#files;
    // A folio may reach into the next region, and extents are cut where their flags change.
    const next = new FrameRun();
    while (out.npage < npage && runAt(regions, vpn + out.npage, next, anon)) {
      if (next.order !== out.order || next.pfn !== out.pfn + out.npage) break;
      out.npage += next.npage;
    }
    // A large folio is one piece, of which a layout may show a part only.
    const whole = order > 0 && out.order === order && isAligned(out.pfn, order);
    out.npage = whole ? npage : Math.min(npage, out.npage);
  }
}

/** The run that begins at a page; false if no region shows a frame of that kind for it. */
function runAt(
  regions: readonly RecordedRegion[],
  vpn: Vpn,
  out: FrameRun,
  anon: boolean,
): boolean {
  for (const region of regions) {
    const offset = vpn - region.vpn;
    const extent = extentAt(region.extents, offset);
    if (extent === undefined) continue;
    const [off, pfn, n, order, flags] = extent;
    if (flags.includes(anon ? 'f' : 'a')) return false;
    out.pfn = pfn + (offset - off);
    out.npage = n - (offset - off);
    out.order = order;
    return true;
  }
  return false;
}

/** The extent that contains an offset, by binary search: extents are in order. */
function extentAt(extents: readonly LayoutExtent[], offset: number): LayoutExtent | undefined {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const [off, , n] = extents[middle];
    if (off + n <= offset) low = middle + 1;
    else high = middle;
  }
  const found = extents.at(low);
  return found !== undefined && found[0] <= offset ? found : undefined;
}
