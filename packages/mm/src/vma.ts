/**
 * Virtual memory areas: what an address range is and may be used for.
 *
 * @source include/linux/mm_types.h struct vm_area_struct; include/linux/mm.h VM_*, 6.16
 */
import type { Vpn } from '@pinfold/base';
import type { VmOperations } from './fault.ts';

/** Flags of a VMA, with the kernel's values. */
export const VM = {
  /** Readable. */
  READ: 0x1,
  /** Writable. */
  WRITE: 0x2,
  /** MAP_SHARED. */
  SHARED: 0x8,
  /** MAP_PRIVATE of something writable: a write copies (VM_MAYWRITE without VM_SHARED). */
  MAYWRITE: 0x20,
  /** Pure pfn mapping: pages without `struct page` management, such as a device BAR. */
  PFNMAP: 0x400,
  /** Memory-mapped I/O. */
  IO: 0x4000,
  /** mlocked. */
  LOCKED: 0x2000,
  /** MADV_DONTFORK. */
  DONTCOPY: 0x20000,
  /** MAP_NORESERVE. */
  NORESERVE: 0x200000,
  /** hugetlb memory. */
  HUGETLB: 0x400000,
  /** MADV_HUGEPAGE. */
  HUGEPAGE: 0x20000000,
  /** MADV_NOHUGEPAGE. */
  NOHUGEPAGE: 0x40000000,
} as const;

/** A virtual memory area. */
export class Vma {
  /** First virtual page. */
  readonly start: Vpn;
  /** First virtual page after it. */
  readonly end: Vpn;
  /** {@link VM} flags. */
  readonly flags: number;
  /** Who answers its faults; null: nothing can be faulted in. */
  readonly ops: VmOperations | null;
  /** Page offset of `start` in what is mapped (vm_pgoff). */
  readonly pgoff: number;
  /** log2 of the pages that system calls may not cut: the page size of hugetlb, 0 else. */
  readonly order: number;
  /** Whether it has ever had anonymous pages (anon_vma is set): only then fork copies its entries. */
  anonVma = false;

  /**
   * @param start first virtual page
   * @param end first virtual page after it
   * @param flags {@link VM} flags
   * @param ops who answers its faults; default nobody
   * @param pgoff page offset of `start` in what is mapped; default 0
   * @param order log2 of the pages that may not be cut; default that of `ops`, or 0
   */
  constructor(
    start: Vpn,
    end: Vpn,
    flags: number,
    ops: VmOperations | null = null,
    pgoff = 0,
    order: number = ops?.order ?? 0,
  ) {
    this.start = start;
    this.end = end;
    this.flags = flags;
    this.ops = ops;
    this.pgoff = pgoff;
    this.order = order;
  }

  /**
   * A part of this area, with flags of its own.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @param flags {@link VM} flags; default those of the whole
   * @returns a new area
   * @source mm/vma.c __split_vma, 6.16
   */
  part(start: Vpn, end: Vpn, flags: number = this.flags): Vma {
    const pgoff = this.pgoff + (start - this.start);
    const part = new Vma(start, end, flags, this.ops, pgoff, this.order);
    part.anonVma = this.anonVma;
    return part;
  }
}

/** The VMAs of an address space, ordered and disjoint. */
export class VmaTree {
  #vmas: Vma[] = [];

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
   * Whether nothing is mapped in a range.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @returns true if no VMA overlaps it
   * @source mm/mmap.c find_vma_intersection, 6.16
   */
  isFree(start: Vpn, end: Vpn): boolean {
    const next = this.#vmas[this.#firstEndingAfter(start)];
    return next === undefined || next.start >= end;
  }

  /**
   * The VMAs that overlap a range, in address order.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @returns the areas, whole
   */
  overlapping(start: Vpn, end: Vpn): Vma[] {
    const from = this.#firstEndingAfter(start);
    let to = from;
    while (to < this.#vmas.length && this.#vmas[to].start < end) to++;
    return this.#vmas.slice(from, to);
  }

  /**
   * Replaces what lies in a range, area by area; the rest of an area that the range cuts stays. An
   * area whose flags do not change is not cut.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @param change makes the new area of the part of an old one that lies in the range, or null to
   *   remove it
   * @source mm/vma.c vma_modify_flags, do_vmi_align_munmap, 6.16
   */
  replace(start: Vpn, end: Vpn, change: (part: Vma) => Vma | null): void {
    const old = this.overlapping(start, end);
    const parts = old.flatMap((vma) => {
      const inside = change(vma.part(Math.max(start, vma.start), Math.min(end, vma.end)));
      if (inside?.flags === vma.flags) return [vma];
      return [
        vma.start < start ? vma.part(vma.start, start) : null,
        inside,
        vma.end > end ? vma.part(end, vma.end) : null,
      ].filter((part) => part !== null);
    });
    const first = this.#firstEndingAfter(start);
    // Not by splice: the arguments of a call lie on the stack.
    this.#vmas = this.#vmas.slice(0, first).concat(parts, this.#vmas.slice(first + old.length));
  }

  /**
   * Joins the areas that touch a range with their neighbours where these continue them: same flags,
   * same memory, and of a file the pages that follow.
   *
   * @param start first virtual page
   * @param end first virtual page after it
   * @source mm/vma.c can_vma_merge_before, can_vma_merge_after, 6.16
   */
  mergeAround(start: Vpn, end: Vpn): void {
    let at = Math.max(0, this.#firstEndingAfter(start) - 1);
    while (at + 1 < this.#vmas.length && this.#vmas[at].start <= end) {
      const [vma, next] = [this.#vmas[at], this.#vmas[at + 1]];
      if (continues(vma, next)) {
        const both = vma.part(vma.start, next.end);
        both.anonVma ||= next.anonVma;
        this.#vmas.splice(at, 2, both);
      } else at++;
    }
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

/** Whether an area continues another. Areas that nobody answers for, and pfn mappings, stay apart. */
function continues(vma: Vma, next: Vma): boolean {
  if (vma.end !== next.start || vma.flags !== next.flags || vma.ops !== next.ops) return false;
  if (vma.ops === null || vma.flags & (VM.PFNMAP | VM.HUGETLB)) return false;
  return vma.ops.anonymous || vma.pgoff + (vma.end - vma.start) === next.pgoff;
}
