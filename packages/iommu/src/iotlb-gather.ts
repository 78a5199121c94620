/**
 * The IOTLB gather: the range of an unmap whose invalidation is still to come, and the page-table
 * pages that may be freed only after it.
 *
 * @source include/linux/iommu.h struct iommu_iotlb_gather, 6.16; reference iommu.md §4
 */
import type { IovaPn } from '@pinfold/base';

/** A pending invalidation (struct iommu_iotlb_gather). */
export class IotlbGather {
  /** First page of the range; Infinity when empty. */
  start: IovaPn = Infinity;
  /** Last page of the range, inclusive; -1 when empty. */
  end: IovaPn = -1;
  /** Size of the pieces gathered so far, in pages; 0 when empty. */
  pieceSize = 0;
  /** Page-table pages to free after the invalidation (numbers of the format's own tables). */
  readonly freelist: number[] = [];

  /** Whether no range is pending. */
  get isEmpty(): boolean {
    return this.end < this.start;
  }

  /** Forgets the range (iommu_iotlb_gather_init); the format has emptied the freelist. */
  reset(): void {
    this.start = Infinity;
    this.end = -1;
    this.pieceSize = 0;
  }

  /**
   * Whether a piece cannot join the range: another size than the pieces before, or not touching.
   *
   * @param start first page of the piece
   * @param npage size of the piece in pages
   * @returns true if the range must be synced first
   * @source include/linux/iommu.h iommu_iotlb_gather_add_page, iommu_iotlb_gather_is_disjoint, 6.16
   */
  mustSyncBefore(start: IovaPn, npage: number): boolean {
    return this.pieceSize !== 0 && (this.pieceSize !== npage || this.isDisjoint(start, npage));
  }

  /**
   * Whether a range would leave a gap to what is pending.
   *
   * @param start first page
   * @param npage length in pages
   * @returns false if it touches, or nothing is pending
   * @source include/linux/iommu.h iommu_iotlb_gather_is_disjoint, 6.16
   */
  isDisjoint(start: IovaPn, npage: number): boolean {
    return !this.isEmpty && (start + npage < this.start || start > this.end + 1);
  }

  /**
   * Extends the range by a piece, and remembers its size for {@link mustSyncBefore}.
   *
   * @param start first page of the piece
   * @param npage size of the piece in pages
   * @source include/linux/iommu.h iommu_iotlb_gather_add_page, 6.16
   */
  add(start: IovaPn, npage: number): void {
    this.pieceSize = npage;
    this.addRange(start, npage);
  }

  /**
   * Extends the range, whatever it holds: also over a gap, also by pieces of other sizes.
   *
   * @param start first page
   * @param npage length in pages
   * @source include/linux/iommu.h iommu_iotlb_gather_add_range, 6.16
   */
  addRange(start: IovaPn, npage: number): void {
    this.start = Math.min(this.start, start);
    this.end = Math.max(this.end, start + npage - 1);
  }
}
