/**
 * Virtual memory areas: what an address range is and may be used for.
 *
 * @source include/linux/mm_types.h struct vm_area_struct; include/linux/mm.h VM_*, 6.16
 */
import type { Vpn } from '@pinfold/base';

/** Flags of a VMA, with the kernel's values. */
export const VM = {
  /** Readable. */
  READ: 0x1,
  /** Writable. */
  WRITE: 0x2,
  /** MAP_SHARED. */
  SHARED: 0x8,
  /** Pure pfn mapping: pages without `struct page` management, such as a device BAR. */
  PFNMAP: 0x400,
  /** Memory-mapped I/O. */
  IO: 0x4000,
  /** hugetlb memory. */
  HUGETLB: 0x400000,
} as const;

/** A virtual memory area. */
export interface Vma {
  /** First virtual page. */
  readonly start: Vpn;
  /** First virtual page after it. */
  readonly end: Vpn;
  /** {@link VM} flags. */
  readonly flags: number;
}

/** The VMAs of an address space, ordered and disjoint. */
export class VmaTree {
  readonly #vmas: Vma[] = [];

  /**
   * The VMA that contains a page (vma_lookup).
   *
   * @param vpn virtual page
   * @returns the VMA, or null
   */
  lookup(vpn: Vpn): Vma | null {
    const vma = this.#vmas[this.#firstEndingAfter(vpn)];
    return vma !== undefined && vma.start <= vpn ? vma : null;
  }

  /**
   * Adds a VMA.
   *
   * @param vma the area
   * @returns false, and nothing done, if it overlaps one that exists
   */
  insert(vma: Vma): boolean {
    const at = this.#firstEndingAfter(vma.start);
    const next = this.#vmas[at];
    if (next !== undefined && next.start < vma.end) return false;
    this.#vmas.splice(at, 0, vma);
    return true;
  }

  /**
   * The VMAs in address order.
   *
   * @returns an iterator over the VMAs
   */
  [Symbol.iterator](): IterableIterator<Vma> {
    return this.#vmas.values();
  }

  #firstEndingAfter(vpn: Vpn): number {
    let low = 0;
    let high = this.#vmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#vmas[middle].end <= vpn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
