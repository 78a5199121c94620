/** Frames as the scenario language writes them. */
import type { Pfn } from '@pinfold/base';

/** Frames of consecutive pages, as `frames=` lists them: `PFN[xN][:ORDER]`. */
export interface FrameExtent {
  /** First frame. */
  readonly pfn: Pfn;
  /** Pages. */
  readonly npage: number;
  /** Order of the folios that the frames belong to. */
  readonly order: number;
}
