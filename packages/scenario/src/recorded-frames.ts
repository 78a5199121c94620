/**
 * Frames as a real kernel handed them out: every page that is faulted in during a step gets the
 * frame and the folio order that the recording shows after it.
 *
 * @source recordings README, "Layout extents"; design, "All frames come from one FrameSource"
 */
import type { Vpn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '@pinfold/mm';
import type { LayoutExtent } from './observation.ts';

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

  framesFor(vpn: Vpn, npage: number, _order: number, out: FrameRun): void {
    out.pfn = -1;
    out.npage = 1;
    for (const region of this.#regions) {
      const offset = vpn - region.vpn;
      const extent = extentAt(region.extents, offset);
      if (extent === undefined) continue;
      const [off, pfn, n, order] = extent;
      out.pfn = pfn + (offset - off);
      out.npage = Math.min(npage, n - (offset - off));
      out.order = order;
      return;
    }
  }
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
