/**
 * What a step shows, in the shape of the recordings: the same field names and units. Addresses,
 * IOVAs and byte sizes are hex strings, page counts and kB values numbers.
 *
 * @source recordings README, "Recording format"
 */

/** `[offset in pages, first pfn, pages, folio order, flag letters]` of a region. */
export type LayoutExtent = readonly [
  off: number,
  pfn: number,
  n: number,
  order: number,
  flags: string,
];

/** A run of leaves: `[iova, phys, size, leaf, access]`. */
export type IommuRun = readonly [
  iova: string,
  phys: string,
  size: string,
  leaf: '4K' | '2M' | '1G',
  perm: 'r' | 'w' | 'rw',
];

/** The IOMMU page table of the first group. */
export interface IommuTable {
  /** 1 if the device has a translation table. */
  readonly present: number;
  /** Page-table pages, the root included. */
  readonly pt_pages: number;
  /** Leaves per size. */
  readonly leaf: { readonly '4K': number; readonly '2M': number; readonly '1G': number };
  /** Runs in all, also those that are not listed. */
  readonly runs_total: number;
  /** Runs in address order, at most 8192. */
  readonly runs: readonly IommuRun[];
}

/** One capability of VFIO_IOMMU_GET_INFO. */
export interface InfoCap {
  readonly id: number;
  readonly version: number;
  readonly name: string;
  readonly [field: string]: unknown;
}

/** VFIO_IOMMU_GET_INFO with its capability chain. */
export interface IommuInfo {
  readonly argsz: number;
  readonly flags: number;
  /** iova_pgsizes. */
  readonly pgsizes: string;
  readonly caps: readonly InfoCap[];
}

/** A dirty bitmap as runs of set bits. */
export interface DirtyBitmap {
  /** `[first bit, count]`. */
  readonly runs: readonly (readonly [number, number])[];
  /** Bits set in all. */
  readonly set: number;
}

/** What one step shows. A field that does not apply is absent. */
export interface Observation {
  readonly op: string;
  /** 0 or more, or -1 with `errno`. */
  readonly ret: number;
  /** Name of the error, or null. */
  readonly errno: string | null;
  readonly iova?: string;
  /** Address argument; of an mmap, where the region lies. */
  readonly va?: string;
  /** Size argument; of an mmap, that of the region. */
  readonly size?: string;
  readonly flags?: number;
  readonly argsz?: number;
  /** Size field of the unmap structure afterwards. */
  readonly size_out?: string;
  /** Unused entries of dma_entry_limit; absent without a type1 container. */
  readonly avail?: number;
  /** kB of locked_vm. */
  readonly mm: { readonly VmLck: number };
  /** Pages pinned and unpinned by the step. */
  readonly pins: { readonly acquired: number; readonly released: number };
  /** Soft RLIMIT_MEMLOCK in bytes, null for unlimited. */
  readonly memlock: number | null;
  /** Physical layout of the regions that changed. */
  readonly layout?: Readonly<Record<string, readonly LayoutExtent[]>>;
  /** IOMMU page table if it changed. */
  readonly iommu?: IommuTable;
  /** Calls per kernel function, those without a call left out. */
  readonly calls?: Readonly<Record<string, number>>;
  readonly info?: IommuInfo;
  /** VFIO_CHECK_EXTENSION of 1 to 11. */
  readonly ext?: Readonly<Record<string, number>>;
  readonly bitmap?: DirtyBitmap;
  /** Bus address of a BAR. */
  readonly bar_phys?: string;
  /** Why it failed: the kernel function and what it saw. Only a model knows. */
  readonly why?: string;
}
