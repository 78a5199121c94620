/**
 * Frames of a guest that has run for a while: single pages lie scattered, neighbours hardly ever follow
 * each other. Passes that show no layout get theirs from here, since their guest is the one whose
 * other passes show such layouts.
 *
 * @source recordings README, "What is not deterministic"; layouts of trace passes
 */
import { mulberry32, type Pfn, type Vpn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '@pinfold/mm';

/** Free pages of which the next one is any. */
const POOL = 64;

/** Hands out single pages of another source in a random order, and large folios as they come. */
export class ScatteredFrames implements FrameSource {
  readonly #source: FrameSource;
  readonly #random: () => number = mulberry32(1);
  readonly #pools = new Map<number, Pfn[]>();

  /** @param source where the frames come from */
  constructor(source: FrameSource) {
    this.#source = source;
  }

  framesFor(vpn: Vpn, npage: number, order: number, out: FrameRun, pageFlags = 0): void {
    if (order > 0) {
      this.#source.framesFor(vpn, npage, order, out, pageFlags);
      return;
    }
    const pool = this.#pools.get(pageFlags) ?? [];
    this.#pools.set(pageFlags, pool);
    while (pool.length < POOL) {
      this.#source.framesFor(vpn, 1, 0, out, pageFlags);
      if (out.pfn < 0) break;
      pool.push(out.pfn);
    }
    const at = Math.floor(this.#random() * pool.length);
    out.pfn = pool.at(at) ?? -1;
    out.npage = 1;
    out.order = 0;
    const last = pool.pop();
    if (last !== undefined && at < pool.length) pool[at] = last;
  }

  framesFreed(pfn: Pfn, order: number, pageFlags: number): void {
    this.#source.framesFreed?.(pfn, order, pageFlags);
  }
}
