/** A source of frames that is made when it is first asked: most machines with prescribed memory never do. */
import type { Pfn, Vpn } from '@pinfold/base';
import type { FrameRun, FrameSource } from '@pinfold/mm';

/** Makes a source when it is needed. */
export class LazyFrames implements FrameSource {
  readonly #make: () => FrameSource;
  #source: FrameSource | null = null;

  /** @param make makes the source; what it gives must not depend on when it is made */
  constructor(make: () => FrameSource) {
    this.#make = make;
  }

  framesFor(vpn: Vpn, npage: number, order: number, out: FrameRun, pageFlags?: number): void {
    this.#made().framesFor(vpn, npage, order, out, pageFlags);
  }

  framesFreed(pfn: Pfn, order: number, pageFlags: number): void {
    this.#made().framesFreed?.(pfn, order, pageFlags);
  }

  #made(): FrameSource {
    return (this.#source ??= this.#make());
  }
}
