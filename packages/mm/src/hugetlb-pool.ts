/**
 * The huge pages of one size that the machine has set aside.
 *
 * @source mm/hugetlb.c struct hstate, hugetlb_acct_memory, alloc_hugetlb_folio, 6.16
 */

/** A pool of huge pages (struct hstate). */
export class HugetlbPool {
  /** Folio order, for example 9 for 2 MiB of pages of 4 KiB. */
  readonly order: number;
  /** Pages that are not handed out. */
  freeHugePages: number;
  /** Free pages that mappings have reserved for their faults. */
  resvHugePages = 0;

  /**
   * @param order folio order
   * @param nrHugePages pages in the pool
   */
  constructor(order: number, nrHugePages: number) {
    this.order = order;
    this.freeHugePages = nrHugePages;
  }

  /**
   * Reserves pages for a mapping.
   *
   * @param pages number of huge pages
   * @returns false, and nothing done, if the pool has too few
   */
  reserve(pages: number): boolean {
    if (this.freeHugePages - this.resvHugePages < pages) return false;
    this.resvHugePages += pages;
    return true;
  }

  /**
   * Gives reservations back that were not used.
   *
   * @param pages number of huge pages
   */
  unreserve(pages: number): void {
    this.resvHugePages -= pages;
  }

  /**
   * Takes a page for a fault.
   *
   * @param reserved whether the mapping has reserved it; else only a page that nobody has reserved
   *   will do
   * @returns false if there is none
   */
  take(reserved = false): boolean {
    if (this.freeHugePages === (reserved ? 0 : this.resvHugePages)) return false;
    this.freeHugePages--;
    if (reserved) this.resvHugePages--;
    return true;
  }

  /** Takes a page back whose folio was freed. */
  free(): void {
    this.freeHugePages++;
  }
}
