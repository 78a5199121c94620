/**
 * The pages that devices without an IOMMU have pinned in a mapping: one `vfio_pfn` per page, in a
 * red-black tree by I/O virtual address. The address may lie inside a page: a driver pins at byte
 * granularity, so the key is {page number, offset}.
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_pfn, vfio_find_vpfn, vpfn_pages, 6.18;
 * reference type1.md §5.4 and §5.5
 */
import { RbNode, RbTree, type IovaPn, type Pfn } from '@pinfold/base';

/** A pinned page (struct vfio_pfn). */
export class VfioPfn extends RbNode {
  /** Page number of its I/O virtual address. */
  readonly iovaPn: IovaPn;
  /** Offset of its I/O virtual address inside the page, in bytes. */
  readonly offset: number;
  /** Page frame. */
  readonly pfn: Pfn;
  /** Number of pins. */
  refCount = 1;

  /**
   * @param iovaPn page number of its I/O virtual address
   * @param pfn page frame
   * @param offset offset of the address inside the page, in bytes
   */
  constructor(iovaPn: IovaPn, pfn: Pfn, offset = 0) {
    super();
    this.iovaPn = iovaPn;
    this.pfn = pfn;
    this.offset = offset;
  }
}

function before(a: VfioPfn, b: VfioPfn): boolean {
  return a.iovaPn !== b.iovaPn ? a.iovaPn < b.iovaPn : a.offset < b.offset;
}

/** The pinned pages of one mapping (vfio_dma.pfn_list). */
export class VpfnTree extends RbTree<VfioPfn> {
  /** Nodes that look-ups visited since this was last set to 0. */
  nodesVisited = 0;
  readonly #pageSize: number;

  /** @param pageSize bytes of a page */
  constructor(pageSize: number) {
    super(before);
    this.#pageSize = pageSize;
  }

  /**
   * The node at exactly the start of a page (vfio_find_vpfn): one look-up.
   *
   * @param iovaPn page number
   * @returns the node, or null
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn, 6.16
   */
  find(iovaPn: IovaPn): VfioPfn | null {
    return this.findAt(iovaPn, 0, 'byte');
  }

  /**
   * The node of an I/O virtual address (vfio_find_vpfn): one look-up.
   *
   * @param iovaPn page number of the address
   * @param offset its offset in the page, in bytes
   * @param span from the address on, in which a node counts as its own ({@link PinAlgorithm.vpfnSpan})
   * @returns the first such node met from the root, or null
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn, 6.16 and 6.18; reference type1.md §5.5
   */
  findAt(iovaPn: IovaPn, offset: number, span: 'byte' | 'page'): VfioPfn | null {
    const pageSize = this.#pageSize;
    const endOffset = offset + (span === 'page' ? pageSize : 1);
    let at = this.root;
    while (at) {
      this.nodesVisited++;
      const distance = (at.iovaPn - iovaPn) * pageSize + at.offset;
      if (distance >= endOffset) at = at.left;
      else if (distance < offset) at = at.right;
      else break;
    }
    return at;
  }

  /**
   * Number of nodes in a range of pages (vpfn_pages): one look-up, then the neighbours of the hit.
   *
   * @param iovaPn first page
   * @param npage length in pages
   * @returns nodes whose address lies in the range
   * @source drivers/vfio/vfio_iommu_type1.c vpfn_pages, vfio_find_vpfn_range, 6.18
   */
  countInRange(iovaPn: IovaPn, npage: number): number {
    const end = iovaPn + npage;
    const hit = this.findInRange(iovaPn, npage);
    if (!hit) return 0;
    let count = 1;
    for (let at = this.prev(hit); at && at.iovaPn >= iovaPn; at = this.prev(at)) count++;
    for (let at = this.next(hit); at && at.iovaPn < end; at = this.next(at)) count++;
    this.nodesVisited += count - 1;
    return count;
  }

  /**
   * A node in a range of pages (vfio_find_vpfn_range): one look-up.
   *
   * @param iovaPn first page
   * @param npage length in pages
   * @returns the first such node met from the root, or null
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_vpfn_range, 6.18
   */
  findInRange(iovaPn: IovaPn, npage: number): VfioPfn | null {
    const end = iovaPn + npage;
    let at = this.root;
    while (at) {
      this.nodesVisited++;
      if (end <= at.iovaPn) at = at.left;
      else if (iovaPn > at.iovaPn) at = at.right;
      else break;
    }
    return at;
  }
}
