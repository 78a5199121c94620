/** Where the regions of a scenario lie, for explanations. */
import { byteAddress, pageNumber, SpanTree, type Span } from '@pinfold/base';
import type { LayoutExtent, DoneStep, StepState } from '@pinfold/scenario';

/** A region: where it lies, in pages. */
export interface MappedRegion extends Span {
  readonly name: string;
}

/** Pages of memory that continue each other. */
export interface MemoryExtent {
  /** First byte. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** First frame. */
  readonly pfn: number;
  /** Order of the folios. */
  readonly order: number;
  /** Flag letters. */
  readonly flags: string;
}

/** Follows the steps of a scenario. */
export class MappedRegions {
  readonly #byName = new Map<string, MappedRegion>();
  #byAddress = SpanTree.empty<MappedRegion>();

  /**
   * Takes a step in.
   *
   * @param done the step
   */
  after({ step: { newRegion: name }, observation: { va, size } }: DoneStep): void {
    if (name === undefined || va === undefined || size === undefined) return;
    const region = { at: pageNumber(BigInt(va)), npage: pageNumber(BigInt(size)), name };
    const old = this.#byName.get(name);
    if (old) this.#byAddress = this.#byAddress.without(old);
    this.#byName.set(name, region);
    this.#byAddress = this.#byAddress.with(region);
  }

  /**
   * A region.
   *
   * @param name its name
   * @returns where it lies; undefined if it was not mapped
   */
  named(name: string): MappedRegion | undefined {
    return this.#byName.get(name);
  }

  /**
   * What lies in a range of memory.
   *
   * @param state layouts to look at
   * @param va first byte
   * @param size length in bytes
   * @returns the extents of every region there, whole, in address order
   */
  *extents({ layout }: StepState, va: bigint, size: bigint): Generator<MemoryExtent, void> {
    const [from, to] = [pageNumber(va), pageNumber(va + size + PAGE_BYTES - 1n)];
    for (const { at, name } of this.#byAddress.overlapping(from, to)) {
      for (const extent of layout.between(name, from - at, to - at)) yield asMemory(at, extent);
    }
  }
}

const PAGE_BYTES = byteAddress(1);

function asMemory(start: number, [off, pfn, n, order, flags]: LayoutExtent): MemoryExtent {
  return { va: byteAddress(start + off), size: byteAddress(n), pfn, order, flags };
}
