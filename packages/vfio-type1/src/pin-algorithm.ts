/**
 * How a kernel pins and unpins the memory of a mapping: the part that the patches of the mailing
 * lists change. An algorithm is one file under `algorithms/` and one line in `all.ts` there.
 */
import type { IovaPn, Pfn, Vpn } from '@pinfold/base';
import type { PhysRun } from '@pinfold/iommu';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import type { PinnedChunk } from './pin-chunk.ts';
import type { ExternalPinRequest } from './pin-external.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** What an algorithm of one's own does by itself and no counter counts, since it was made. */
export interface OwnWork {
  /** Pages that it has pinned, which the others are to be compared with. */
  pages: number;
  /** Entries of a batch that it has read: `batch.page`. */
  pageReads: number;
  /** Frames that it has made of pages, and pages of frames: `pageToPfn`, `pfnToPage`. */
  conversions: number;
}

/** What an algorithm of one's own is a difference against. */
export interface PinBase {
  /** As the file names it: an algorithm, or a release whose algorithm it is. */
  readonly name: string;
  /** The algorithm whose steps those left out are. */
  readonly algorithm: PinAlgorithm;
}

/**
 * The steps in which pin algorithms differ; all are called per mapping, chunk or region, never per
 * page.
 */
export interface PinAlgorithm {
  /** Name, after what it does. */
  readonly name: string;
  /** One line on what it is. */
  readonly summary: string;
  /**
   * Whether a page may be put and pinned again where memory is not contiguous, so that the number of
   * pins taken follows from the physical layout too; default no.
   */
  readonly repins: boolean;
  /**
   * Whether RLIMIT_MEMLOCK is tested for a whole mapping before any of it is pinned, so that a map
   * that is beyond the limit and reaches what cannot be pinned fails with ENOMEM; default no: it
   * fails for what the pin loop meets first, EFAULT perhaps.
   */
  readonly limitFirst: boolean;
  /** Where it comes from: kernel release, or mail and date. */
  readonly source: string;
  /**
   * What is known to be wrong with it: one line per bug that a review, a fix or a test has named, with
   * who named it; empty if nothing.
   */
  readonly defects: readonly string[];

  /** What it is a difference against, if it is one of somebody's own; else null. */
  readonly base: PinBase | null;

  /** What it does besides what is counted, if it is one of somebody's own; else null. */
  readonly ownWork: Readonly<OwnWork> | null;

  /**
   * How far from an I/O virtual address on vfio_find_vpfn takes a node for that of the address: the
   * `byte`, the default, or a `page` as the form before the fix of July 2025, which finds the neighbour
   * of an address that does not begin a page.
   */
  readonly vpfnSpan: 'byte' | 'page';

  /**
   * Pins, charges and maps a new mapping from its beginning on; the default does it chunk by chunk,
   * by {@link pinChunk}. The mapping grows with what is pinned and mapped.
   *
   * @param iommu the container's state, with at least one domain
   * @param dma the mapping, of 0 pages
   * @param npage its size to be, in pages
   * @param limit RLIMIT_MEMLOCK of the caller, in pages
   * @returns 0; or a negative errno, with everything released that is not part of the mapping
   */
  pinMap(iommu: VfioIommu, dma: VfioDma, npage: number, limit: number): number;

  /**
   * Pins pages until a physically contiguous chunk ends, and charges them.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param vaddr first virtual page to pin
   * @param npage pages wanted, at least 1
   * @param limit RLIMIT_MEMLOCK of the caller, in pages
   * @param batch pinned entries left over by the chunk before, and for the one after
   * @param chunk gets the chunk's first page frame
   * @returns pages of the chunk, at least 1; or a negative errno, with everything released
   */
  pinChunk(
    iommu: VfioIommu,
    dma: VfioDma,
    vaddr: Vpn,
    npage: number,
    limit: number,
    batch: VfioBatch,
    chunk: PinnedChunk,
  ): number;

  /**
   * Unpins a physically contiguous region of a mapping.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param iovaPn first I/O virtual page of the region
   * @param pfn its first page frame
   * @param npage its length in pages
   * @param doAccounting whether to take the charge back here
   * @returns pages unpinned whose charge is to be taken back
   */
  unpinRegion(
    iommu: VfioIommu,
    dma: VfioDma,
    iovaPn: IovaPn,
    pfn: Pfn,
    npage: number,
    doAccounting: boolean,
  ): number;

  /**
   * Finds the next physically contiguous run that an unmap of the mapping handles at once.
   *
   * @param iommu the container's state
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage pages left in the mapping
   * @param run gets first page frame (0: not mapped) and length
   */
  nextUnmapRun(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number, run: PhysRun): void;

  /**
   * Pins pages for a device without an IOMMU, and charges them if no domain does.
   *
   * @param iommu the container's state
   * @param request the pages, and where their pointers go
   * @returns the number of pages; or a negative errno, with everything released that this call has
   *   pinned and `request.pages` as the kernel leaves it
   */
  pinExternal(iommu: VfioIommu, request: ExternalPinRequest): number;

  /**
   * Drops what the algorithm remembers of a mapping, which is gone or no longer in any domain.
   *
   * @param iommu the container's state
   * @param dma the mapping
   */
  forget(iommu: VfioIommu, dma: VfioDma): void;
}
