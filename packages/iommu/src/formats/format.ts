/**
 * What a page-table format is to the layer above it. A format states its page sizes and whether the
 * core splits ranges by them, does the mapping itself, and has its own rule for unmapping a part of
 * a large leaf and its own gather rule; a format is one file beside this one and one line in
 * `all.ts`.
 *
 * @source include/linux/iommu.h struct iommu_domain_ops, 6.16; include/linux/generic_pt/iommu.h
 * struct pt_iommu_ops, 7.2; reference iommu.md §3 to §7
 */
import type { Counters, Extents, IovaPn, Pfn, TracedFunction } from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';

/** Access bits of a mapping, with the kernel's values. */
export const IOMMU = {
  /** The device may read. */
  READ: 1,
  /** The device may write. */
  WRITE: 2,
  /** DMA is cache coherent; type1 always asks for it. */
  CACHE: 4,
} as const;

/** Facts of the IOMMU hardware that shape its page table. */
export interface IoPageTableOptions {
  /** Input address width in bits, for example 39 or 48. */
  readonly addressWidth: number;
  /** Orders of the large leaves that the hardware supports, for example [9, 18]. */
  readonly superpageOrders: readonly number[];
  /** Output address width in bits; default: what the entries of the format hold. */
  readonly outputWidth?: number;
  /** AMD: whether it caches absent entries (NpCache), as emulated ones say and real ones do not. */
  readonly npCache?: boolean;
  /** Identifiers of domains; default: the table is the only one. */
  readonly domainIds?: DomainIds;
}

/** Hands out identifiers of domains: the smallest that is free. */
export interface DomainIds {
  /**
   * Takes one.
   *
   * @returns the identifier
   */
  take(): number;
  /**
   * Gives one back.
   *
   * @param id the identifier
   */
  give(id: number): void;
}

/** A device as its IOMMU knows it. */
export interface IommuDevice {
  /** Bus, device and function in one number, for example 0x20 for 00:04.0. */
  readonly requester: number;
  /** Identifier of the domain that it has at boot. */
  readonly defaultDomain: number;
}

/** What a contiguous scan found: see {@link IoPageTable.iovaToPhysRun}. */
export class PhysRun {
  /** Page frame of the first page; 0 if it has no translation. */
  pfn: Pfn = 0;
  /** Pages, from the first on, whose translations are consecutive; at least 1 with a translation. */
  npage = 0;
}

/** A leaf of an IOMMU page table. */
export interface IoLeaf {
  /** First I/O virtual page. */
  readonly iovaPn: IovaPn;
  /** First page frame. */
  readonly pfn: Pfn;
  /** log2 of its size in pages. */
  readonly order: number;
  /** {@link IOMMU} access bits, READ and WRITE only. */
  readonly prot: number;
}

/** Leaves side by side that {@link IoPageTable.nextLeaves} has found; to be used again and again. */
export class LeafRun {
  /** First I/O virtual page. */
  iovaPn: IovaPn = 0;
  /** First page frame. */
  pfn: Pfn = 0;
  /** log2 of the size of each leaf in pages. */
  order = 0;
  /** {@link IOMMU} access bits of all of them, READ and WRITE only. */
  prot = 0;
  /** How many they are. */
  leaves = 0;
}

/** Functions of a driver that a tracer sees, the outermost first. */
export interface DriverFunctions {
  /** Those that map; with map_range of the generic page table code, their length instead of sizes. */
  readonly map: readonly TracedFunction[];
  /** Those that unmap. */
  readonly unmap: readonly TracedFunction[];
}

/** The page table of one domain, in one format. All addresses and sizes are in pages. */
export interface IoPageTable {
  /** Orders of the supported leaf sizes, ascending (pgsize_bitmap). */
  readonly pageOrders: readonly number[];
  /** Orders of the leaves that it writes, where its driver takes more sizes than it has leaves for. */
  readonly leafOrders?: readonly number[];
  /** First page that can be mapped; default 0. */
  readonly apertureFirst?: IovaPn;
  /** End of the input address space in pages: no page from here on can be mapped. */
  readonly aperturePages: number;
  /** Page-table pages in use, the root included. */
  readonly tablePages: number;
  /**
   * Whether it is kept by the generic page table code: the core then hands it every range in one
   * piece, as pages of the smallest size, and it chooses the leaf sizes itself. Otherwise the core
   * splits a range by {@link iommuPgsize} and makes one call per page size.
   */
  readonly isIommupt?: boolean;
  /**
   * Whether its driver takes one page of a size per call, as drivers did before they had map_pages and
   * unmap_pages.
   */
  readonly pageByPage?: boolean;
  /** What its driver's map_pages and unmap_pages are called; not there: a tracer does not see them. */
  readonly traced?: DriverFunctions | undefined;
  /** Pages that the last {@link mapPages} mapped, also when it failed half way. */
  readonly mapped: number;

  /**
   * Maps `count` pages of one size: map_pages of a driver; of a generic page table, map_range.
   *
   * @param iovaPn first I/O virtual page, aligned to the size
   * @param pfn first page frame, aligned to the size
   * @param order log2 of the page size in pages, one of `pageOrders`
   * @param count number of pages of that size
   * @param prot {@link IOMMU} access bits
   * @returns 0 or a negative errno; `mapped` says how far it came
   */
  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number;

  /**
   * Maps extents of which each is one whole leaf: what {@link mapPages} does if it is called for one
   * after the other, in one loop. A format without it gets those calls.
   *
   * @param iovaPn first I/O virtual page
   * @param extents the extents
   * @param from index of the first
   * @param to index after the last
   * @param prot {@link IOMMU} access bits
   * @returns extents mapped, `mapped` pages; 0 if `mapPages` must be called for the first
   */
  mapLeaves?(iovaPn: IovaPn, extents: Extents, from: number, to: number, prot: number): number;

  /**
   * Unmaps `count` pages of one size: unmap_pages of a driver; of a generic page table,
   * unmap_range.
   *
   * @param iovaPn first I/O virtual page
   * @param order log2 of the page size in pages
   * @param count number of pages of that size
   * @param gather collects what must be invalidated
   * @returns pages unmapped: 0, less than asked, or more when a larger leaf went as a whole
   */
  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number;

  /**
   * Invalidates the gathered range and frees the tables that waited for it.
   *
   * @param gather the pending invalidation, empty afterwards
   */
  iotlbSync(gather: IotlbGather): void;

  /**
   * Called after an iommu_map that succeeded; not there: the driver has nothing to do.
   *
   * @param iovaPn first I/O virtual page
   * @param npage length in pages
   */
  iotlbSyncMap?(iovaPn: IovaPn, npage: number): void;

  /**
   * A device begins to translate by the table.
   *
   * @param device the device
   */
  attachDevice?(device: IommuDevice): void;

  /**
   * A device translates by it no longer: it is blocked.
   *
   * @param device the device
   */
  detachDevice?(device: IommuDevice): void;

  /** The domain is freed, and with it all tables. */
  freeAll?(): void;

  /**
   * Translates one page.
   *
   * @param iovaPn I/O virtual page
   * @returns its page frame, or 0 for no translation
   */
  iovaToPhys(iovaPn: IovaPn): Pfn;

  /**
   * Calls iova_to_phys for page after page while the translations are consecutive: the scan of
   * `vfio_unmap_unpin`, here so that its per-page walk is a loop in the format's own code. Every
   * page costs a full walk and is counted as a call, the failing probe at the end too.
   *
   * @param iovaPn first I/O virtual page
   * @param npage pages to look at, at least 1
   * @param out gets the run
   * @param countsProbe whether the call that ends the run is counted, as it is where the caller makes
   *   it again for the next run; default true
   */
  iovaToPhysRun(iovaPn: IovaPn, npage: number, out: PhysRun, countsProbe?: boolean): void;

  /**
   * All leaves in address order.
   *
   * @returns one record per leaf
   */
  leaves(): Iterable<IoLeaf>;

  /**
   * Finds the next leaves of one size and access whose frames follow each other, of one table: a walk
   * over all leaves that makes no objects.
   *
   * @param from the page, or the first one behind it, that leaves are wanted of
   * @param out gets the leaves
   * @param end looks for leaves that begin before this page, and may find one after it; default: all
   * @returns whether there are any
   */
  nextLeaves(from: IovaPn, out: LeafRun, end?: IovaPn): boolean;
}

/** A page-table format: makes the page tables of domains. */
export interface IoPageTableFormat {
  /** Name in the registry and in the rules of a release. */
  readonly name: string;
  /** One line on what it is and where it comes from. */
  readonly summary: string;
  /**
   * Makes an empty page table.
   *
   * @param options facts of the hardware
   * @param counters counters to add to
   * @returns the page table of a new domain
   */
  create(options: IoPageTableOptions, counters: Counters): IoPageTable;
}
