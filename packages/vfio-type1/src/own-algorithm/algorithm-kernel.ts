/**
 * The calls that a kernel patch could make, in the kernel's words, and nothing else. Each counts
 * what a kernel would pay for it, and checks its arguments.
 *
 * @source drivers/vfio/vfio_iommu_type1.c, mm/gup.c, include/linux/mm.h, 6.18
 */
import type { ErrnoName, IovaPn, Page, Pfn, Vpn } from '@pinfold/base';
import type { OwnBatch, OwnChunk, OwnDma, OwnPinRequest, OwnRun } from './own-algorithm.ts';

/** A `struct folio`: opaque. */
export type Folio = number;

/** The kernel, as an algorithm of one's own sees it: bound to one container. */
export interface AlgorithmKernel {
  /** disable_hugepages: a chunk has one page. */
  readonly disableHugepages: boolean;
  /** Errno numbers, positive, by name. */
  readonly Errno: Readonly<Record<ErrnoName, number>>;
  /** Bit of `dma.prot`: the device may read. */
  readonly IOMMU_READ: number;
  /** Bit of `dma.prot`: the device may write, so pages are dirty when they are unpinned. */
  readonly IOMMU_WRITE: number;

  /**
   * Fills an empty batch by GUP from a virtual page on (vaddr_get_pfns). Device memory leaves it
   * empty: `batch.pfn` and the result describe its frames, which hold no pin.
   *
   * @param dma the mapping
   * @param vaddr first virtual page
   * @param npage pages wanted; GUP takes at most the batch's capacity
   * @param batch the batch
   * @returns pages from `batch.pfn` on, at least 1; or a negative errno
   */
  vaddrGetPfns(dma: OwnDma, vaddr: Vpn, npage: number, batch: OwnBatch): number;
  /**
   * An empty batch besides the one that is handed in (vfio_batch_init).
   *
   * @param capacity entries, from 1 to as many pointers as a page holds
   * @returns the batch
   */
  makeBatch(capacity: number): OwnBatch;

  /**
   * page_to_pfn.
   *
   * @param page a `struct page`
   * @returns its page frame
   */
  pageToPfn(page: Page): Pfn;
  /**
   * pfn_to_page.
   *
   * @param pfn page frame with a memory map
   * @returns its `struct page`
   */
  pfnToPage(pfn: Pfn): Page;
  /**
   * pfn_valid.
   *
   * @param pfn page frame
   * @returns whether it has a memory map
   */
  pfnValid(pfn: Pfn): boolean;
  /**
   * Whether a frame was not had by GUP, and holds no pin (is_invalid_reserved_pfn).
   *
   * @param pfn page frame
   * @returns true for device memory and reserved pages
   */
  isInvalidReservedPfn(pfn: Pfn): boolean;
  /**
   * How many of a batch's next entries are consecutive pages (num_pages_contiguous). Pointers are
   * compared, which is less than all where `struct page`s are not consecutive.
   *
   * @param batch a batch that is not empty
   * @param max entries to look at, default all
   * @returns 1 to max
   */
  numPagesContiguous(batch: OwnBatch, max?: number): number;

  /**
   * Begins a chunk: sets `pfnBase`, and `rsvd` by a test of the frame.
   *
   * @param chunk the chunk
   * @param pfn first page frame
   */
  startChunk(chunk: OwnChunk, pfn: Pfn): void;
  /**
   * Whether a frame is the next of a chunk: one compare with `pfnBase + pinned`.
   *
   * @param chunk the chunk
   * @param pfn page frame
   * @returns whether it is
   */
  continuesChunk(chunk: OwnChunk, pfn: Pfn): boolean;

  /**
   * The folio of a page (page_folio).
   *
   * @param page a `struct page`
   * @returns its folio
   */
  pageFolio(page: Page): Folio;
  /**
   * folio_nr_pages.
   *
   * @param folio a folio
   * @returns its pages
   */
  folioNrPages(folio: Folio): number;
  /**
   * Which page of its folio a page is (folio_page_idx).
   *
   * @param folio the folio of the page
   * @param page a `struct page`
   * @returns 0 for its head page
   */
  folioPageIdx(folio: Folio, page: Page): number;
  /**
   * folio_page: the way back.
   *
   * @param folio a folio
   * @param idx index of a page in it
   * @returns that page
   */
  folioPage(folio: Folio, idx: number): Page;
  /**
   * folio_test_hugetlb.
   *
   * @param folio a folio
   * @returns whether it is a hugetlb page
   */
  folioTestHugetlb(folio: Folio): boolean;

  /**
   * Whether a device without an IOMMU has pinned a page at exactly its start (vfio_find_vpfn).
   *
   * @param dma the mapping
   * @param iovaPn I/O virtual page
   * @returns whether there is a node
   */
  findVpfn(dma: OwnDma, iovaPn: IovaPn): boolean;
  /**
   * Whether such a device has pinned something in a range (vfio_find_vpfn_range).
   *
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage length in pages
   * @returns whether there is a node
   */
  findVpfnRange(dma: OwnDma, iovaPn: IovaPn, npage: number): boolean;
  /**
   * How many pages of a range such devices have pinned; they are charged already (vpfn_pages).
   *
   * @param dma the mapping
   * @param iovaPn first I/O virtual page
   * @param npage length in pages
   * @returns nodes in the range
   */
  vpfnPages(dma: OwnDma, iovaPn: IovaPn, npage: number): number;

  /**
   * The test of locked_vm against RLIMIT_MEMLOCK before pages are accepted; charges nothing.
   *
   * @param dma the mapping
   * @param lockAcct pages of the chunk that are to be charged already
   * @param more pages that come to it
   * @param limit RLIMIT_MEMLOCK in pages
   * @returns 0 or -ENOMEM
   */
  testLimit(dma: OwnDma, lockAcct: number, more: number, limit: number): number;
  /**
   * Charges pages to the owner of a mapping, or takes a charge back (vfio_lock_acct).
   *
   * @param dma the mapping
   * @param npage pages; negative to take back; 0 does nothing
   * @param async whether the owner may have gone
   * @returns 0, -ENOMEM over RLIMIT_MEMLOCK, -ESRCH if the owner's memory has gone, -EINTR if a fatal
   *   signal interrupts the wait for its lock
   */
  lockAcct(dma: OwnDma, npage: number, async: boolean): number;

  /**
   * Puts pages one by one; reserved ones are passed over (put_pfn).
   *
   * @param dma the mapping, whose access says whether they are dirty
   * @param pfn first page frame
   * @param npage number of pages
   * @returns pages unpinned
   */
  putPfns(dma: OwnDma, pfn: Pfn, npage: number): number;
  /**
   * Unpins what is left in a batch; it was never charged (vfio_batch_unpin).
   *
   * @param dma the mapping
   * @param batch the batch, empty afterwards
   */
  batchUnpin(dma: OwnDma, batch: OwnBatch): void;
  /**
   * unpin_user_page_range_dirty_lock: consecutive frames, one put per folio.
   *
   * @param page first page
   * @param npage number of pages
   * @param makeDirty whether to mark them dirty
   */
  unpinUserPageRangeDirtyLock(page: Page, npage: number, makeDirty: boolean): void;
  /**
   * Drops pins of one folio at once (unpin_user_folio_dirty_locked, proposed in June 2025).
   *
   * @param folio the folio
   * @param npins pins to drop
   * @param makeDirty whether to mark it dirty
   */
  unpinUserFolioDirtyLocked(folio: Folio, npins: number, makeDirty: boolean): void;

  /** Whether the IOMMU unmaps superpages only as a whole (fgsp, up to 6.15). */
  readonly fgsp: boolean;
  /**
   * iommu_iova_to_phys of the domain that is read back.
   *
   * @param iovaPn I/O virtual page
   * @returns its page frame; 0: not mapped
   */
  iovaToPhys(iovaPn: IovaPn): Pfn;
  /**
   * The scan of vfio_unmap_unpin: one iova_to_phys per page while frames are consecutive.
   *
   * @param iovaPn first I/O virtual page
   * @param npage pages to look at
   * @param run gets first page frame (0: not mapped) and length
   */
  iovaToPhysRun(iovaPn: IovaPn, npage: number, run: OwnRun): void;

  /**
   * The mapping of a page that a device wants pinned.
   *
   * @param request what the device asks for
   * @param i index of the page
   * @returns the mapping; -EINVAL if there is none, -EPERM if it lacks access
   */
  dmaToPin(request: OwnPinRequest, i: number): OwnDma | number;
  /**
   * One reference more to a page that devices have pinned already.
   *
   * @param dma the mapping
   * @param request what the device asks for
   * @param i index of the page
   * @returns false if they have not
   */
  takeKnownPage(dma: OwnDma, request: OwnPinRequest, i: number): boolean;
  /**
   * Pins one page for a device, charges it if no domain does, and makes its node
   * (vfio_pin_page_external, vfio_add_to_pfn_list).
   *
   * @param dma the mapping
   * @param request what the device asks for
   * @param i index of the page
   * @returns 0 or a negative errno
   */
  pinNewPage(dma: OwnDma, request: OwnPinRequest, i: number): number;
  /**
   * Makes the node of a page that has been pinned by {@link vaddrGetPfns} (vfio_add_to_pfn_list).
   *
   * @param dma the mapping
   * @param request what the device asks for
   * @param i index of the page
   * @param page the page
   * @returns 0; -ENOMEM if there is no memory for the node: the page is still pinned then
   */
  addToPfnList(dma: OwnDma, request: OwnPinRequest, i: number, page: Page): number;
  /**
   * Gives back the pages of a request from its first on.
   *
   * @param request what the device asks for
   * @param done pages that were pinned
   * @param ret why the next one failed
   * @returns `ret`
   */
  unwindExternal(request: OwnPinRequest, done: number, ret: number): number;
}
