/**
 * Where a region lies whose mmap has no `addr=`: each on its own, far from its neighbours.
 *
 * @source recordings README, "Scenario language"; the `va` of recorded mmap steps
 */

const FIRST = 0x10_0000_0000n;
const GIB = 2n ** 30n;

/** Hands out the addresses of regions, in the order of their mmaps. */
export class RegionAddresses {
  #next = FIRST;

  /** The address that the next region without `addr=` gets; an mmap that fails does not take it. */
  get next(): bigint {
    return this.#next;
  }

  /**
   * Takes the address of the next region without `addr=`. Regions with an address of their own take none.
   * Between two regions at least one GiB stays free.
   *
   * @param size length of the region in bytes
   * @returns address of its first byte, a multiple of 1 GiB
   */
  place(size: bigint): bigint {
    const va = this.#next;
    this.#next += ((size + GIB - 1n) / GIB + 1n) * GIB;
    return va;
  }
}
