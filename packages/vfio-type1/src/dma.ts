/**
 * A mapping (`struct vfio_dma`) and the tree of them.
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_dma, vfio_find_dma, 6.16; reference type1.md §1
 */
import { RbNode, RbTree, type IovaPn, type Vpn } from '@pinfold/base';
import type { MmStruct, Task } from '@pinfold/mm';
import type { DirtyBitmap } from './dirty-bitmap.ts';
import { VpfnTree } from './vpfn.ts';

/** A mapping of process memory into the container's I/O address space. */
export class VfioDma extends RbNode {
  /** First I/O virtual page. */
  readonly iovaPn: IovaPn;
  /** First virtual page of the process. */
  vaddr: Vpn;
  /** Size in pages: 0 when linked, then it grows chunk by chunk. */
  npage = 0;
  /** IOMMU access bits (READ, WRITE). */
  readonly prot: number;
  /** Process that mapped it. */
  task: Task;
  /** Its address space. */
  mm: MmStruct;
  /** CAP_IPC_LOCK, sampled when it was mapped: RLIMIT_MEMLOCK does not bind. */
  lockCap: boolean;
  /** Whether UNMAP with the VADDR flag has invalidated `vaddr`. */
  vaddrInvalid = false;
  /** Whether the IOMMU maps it. */
  iommuMapped = false;
  /** Sticky: some chunk of it is reserved or invalid pfns (6.18). */
  hasRsvd = false;
  /** Net pages that it contributes to mm->locked_vm. */
  lockedVm = 0;
  /** Its dirty pages, one bit per smallest IOMMU page, and a spare word; null while none are logged. */
  bitmap: DirtyBitmap | null = null;
  /** What the pin algorithm remembers of it; only the algorithm knows its shape. */
  pinState: unknown = null;
  /** Pages pinned by devices without an IOMMU. */
  readonly pfnList: VpfnTree;

  /**
   * @param iovaPn first I/O virtual page
   * @param vaddr first virtual page of the process
   * @param prot IOMMU access bits
   * @param task process that maps it
   */
  constructor(iovaPn: IovaPn, vaddr: Vpn, prot: number, task: Task) {
    super();
    this.iovaPn = iovaPn;
    this.vaddr = vaddr;
    this.prot = prot;
    this.task = task;
    this.mm = task.mm;
    this.pfnList = new VpfnTree(task.mm.pageTable.geometry.pageSize);
    this.lockCap = task.capIpcLock;
  }

  /** Last I/O virtual page, inclusive. */
  get lastPn(): IovaPn {
    return this.iovaPn + this.npage - 1;
  }
}

/** The mappings of a container, which do not overlap unless ends wrap (vfio_iommu.dma_list). */
export class DmaList extends RbTree<VfioDma> {
  /** From where on ends wrap. */
  readonly #top: number;
  /** Pages of the 64-bit address space. */
  readonly #end: number;

  /**
   * @param pageShift log2 of the page size in bytes
   * @param exclusiveEnds whether the end behind a range wraps to 0 at 2^64; default no
   */
  constructor(pageShift: number, exclusiveEnds = false) {
    // A mapping is linked with size 0: before one that begins at the same address.
    super((a, b) => a.iovaPn <= b.iovaPn);
    this.#end = 2 ** (64 - pageShift);
    this.#top = exclusiveEnds ? this.#end : Infinity;
  }

  /**
   * The page behind a range, as look-ups compute it.
   *
   * @param start first page of the range
   * @param npage its length in pages; Infinity: the range has no end
   * @returns its page number, which may have wrapped
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_dma, 6.16
   */
  endOf(start: IovaPn, npage: number): IovaPn {
    const end = start + npage;
    return end < this.#top ? end : end - this.#end;
  }

  /**
   * A mapping that overlaps a range (vfio_find_dma).
   *
   * @param start first page of the range
   * @param npage its length in pages, at least 1
   * @returns the first such mapping met from the root, or null
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_dma, 6.16
   */
  find(start: IovaPn, npage: number): VfioDma | null {
    const end = this.endOf(start, npage);
    let at = this.root;
    while (at) {
      if (end <= at.iovaPn) at = at.left;
      else if (start >= this.endOf(at.iovaPn, at.npage)) at = at.right;
      else return at;
    }
    return null;
  }

  /**
   * The first mapping, in address order, that overlaps a range (vfio_find_dma_first_node).
   *
   * @param start first page of the range
   * @param npage its length in pages; Infinity: all that begins behind `start` counts
   * @returns the mapping, or null
   * @source drivers/vfio/vfio_iommu_type1.c vfio_find_dma_first_node, 6.16
   */
  findFirst(start: IovaPn, npage: number): VfioDma | null {
    let found: VfioDma | null = null;
    let at = this.root;
    while (at) {
      if (start < this.endOf(at.iovaPn, at.npage)) {
        found = at;
        if (start >= at.iovaPn) break;
        at = at.left;
      } else at = at.right;
    }
    return found && found.iovaPn < this.endOf(start, npage) ? found : null;
  }
}
