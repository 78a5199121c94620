/**
 * What an algorithm of one's own looks like: the default export of a file. Only types: such a file
 * needs nothing of this package at run time, values come with the `kernel` of each call.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote,
 * vfio_unmap_unpin, vfio_iommu_type1_pin_pages, 6.18
 */
import type { IovaPn, Page, Pfn, Vpn } from '@pinfold/base';
import type { AlgorithmKernel } from './algorithm-kernel.ts';

/** A mapping (`struct vfio_dma`), as far as an algorithm has to do with it. */
export interface OwnDma {
  /** First I/O virtual page. */
  readonly iovaPn: IovaPn;
  /** First virtual page of the process. */
  readonly vaddr: Vpn;
  /** Pages mapped so far: 0 when the first chunk is pinned, then it grows chunk by chunk. */
  readonly npage: number;
  /** IOMMU access bits: `kernel.IOMMU_READ`, `kernel.IOMMU_WRITE`. */
  readonly prot: number;
  /** Whether some chunk of it is reserved (6.18); false at first. */
  hasRsvd: boolean;
  /** Whatever the algorithm wants to remember of it; null at first. */
  state: unknown;
}

/** The page array between GUP and the chunk (`struct vfio_batch`). */
export interface OwnBatch {
  /** Entries that fit: as many pointers as a page holds, or 1 with disable_hugepages. */
  readonly capacity: number;
  /** Entries not yet taken; they are pinned and serve the next chunk. */
  readonly size: number;
  /** Page frame that the last refill began with; of device memory too, for which `size` stays 0. */
  readonly pfn: Pfn;
  /**
   * An entry that is not yet taken.
   *
   * @param i 0 for the next one, the default; less than `size`
   * @returns its `struct page`
   */
  page(i?: number): Page;
  /**
   * Takes the next entries out.
   *
   * @param npage how many, up to `size`
   */
  take(npage: number): void;
}

/** A physically contiguous chunk while it grows; all reserved or none. New for each call. */
export interface OwnChunk {
  /** First page frame; 0: not known yet, as in the kernel. */
  pfnBase: Pfn;
  /** Pages pinned so far; in the end what `pinChunk` returns. */
  pinned: number;
  /** Whether its pages are reserved: not charged, and nothing to unpin. */
  rsvd: boolean;
  /** Pages to charge. */
  lockAcct: number;
}

/** A physically contiguous run of a mapping. New for each call. */
export interface OwnRun {
  /** First page frame; 0: not mapped. */
  pfn: Pfn;
  /** Length in pages. */
  npage: number;
}

/** What a device without an IOMMU asks vfio_pin_pages for. */
export interface OwnPinRequest {
  /** Number of pages. */
  readonly npage: number;
  /** Whether pages are charged here, because no domain does. */
  readonly doAccounting: boolean;
  /**
   * @param i index of a page
   * @returns page number of its I/O virtual address
   */
  iovaPn(i: number): IovaPn;
  /**
   * @param i index of a page
   * @returns offset of its I/O virtual address in the page, in bytes
   */
  offset(i: number): number;
}

/**
 * A pin algorithm of one's own: a difference. A step that is left out is that of its base, as for a
 * patch that changes only the others.
 */
export interface OwnAlgorithm {
  /** Name for tables and messages. */
  readonly name: string;
  /** One line on what it is. */
  readonly summary?: string;
  /** Where it comes from. */
  readonly source?: string;
  /**
   * What it is a difference against: a pin algorithm, such as `series-1-4`, or a release, such as
   * `6.18`, whose algorithm it is. Default: the kernel that it runs in.
   */
  readonly base?: string;
  /** Whether it may put a page and pin it again where memory is not contiguous; default no. */
  readonly repins?: boolean;

  /**
   * Pins pages until a physically contiguous chunk ends, and charges them (vfio_pin_pages_remote).
   *
   * @param kernel what it may call
   * @param dma the mapping
   * @param vaddr first virtual page to pin; its I/O virtual page is `vaddr - dma.vaddr + dma.iovaPn`
   * @param npage pages wanted, at least 1
   * @param limit RLIMIT_MEMLOCK of the caller, in pages
   * @param batch entries left over by the chunk before, and for the one after
   * @param chunk gets first page frame and pages pinned
   * @returns `chunk.pinned`, 1 to npage; or a negative errno, with everything released, also what
   *   the batch holds
   */
  pinChunk?(
    kernel: AlgorithmKernel,
    dma: OwnDma,
    vaddr: Vpn,
    npage: number,
    limit: number,
    batch: OwnBatch,
    chunk: OwnChunk,
  ): number;

  /**
   * Unpins a physically contiguous region of a mapping (vfio_unpin_pages_remote).
   *
   * @param kernel what it may call
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param pfn first page frame
   * @param npage length in pages
   * @param doAccounting whether to take the charge back here
   * @returns pages unpinned, 0 to npage
   */
  unpinRegion?(
    kernel: AlgorithmKernel,
    dma: OwnDma,
    iovaPn: IovaPn,
    pfn: Pfn,
    npage: number,
    doAccounting: boolean,
  ): number;

  /**
   * Finds the next physically contiguous run that an unmap handles at once (vfio_unmap_unpin).
   *
   * @param kernel what it may call
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage pages left in the mapping
   * @param run gets first page frame (0: not mapped) and length, 1 to npage
   */
  nextUnmapRun?(
    kernel: AlgorithmKernel,
    dma: OwnDma,
    iovaPn: IovaPn,
    npage: number,
    run: OwnRun,
  ): void;

  /**
   * Pins pages for a device without an IOMMU (vfio_iommu_type1_pin_pages).
   *
   * @param kernel what it may call
   * @param request the pages
   * @returns the number of pages; or a negative errno, with everything released
   */
  pinExternal?(kernel: AlgorithmKernel, request: OwnPinRequest): number;

  /**
   * Called when a mapping has gone, before its `state` does.
   *
   * @param kernel what it may call
   * @param dma the mapping
   */
  forget?(kernel: AlgorithmKernel, dma: OwnDma): void;
}
