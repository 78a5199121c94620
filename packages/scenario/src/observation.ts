/**
 * What a step shows, in the shape of the recordings: the same field names and units. Addresses,
 * IOVAs and byte sizes are hex strings, page counts and kB values numbers.
 *
 * @source recordings README, "Recording format"
 */
import type { Failure } from './failure.ts';

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

/** Leaves of an IOMMU page table per size. */
export interface LeafCounts {
  /** Leaves of 4 KiB. */
  readonly '4K': number;
  /** Leaves of 2 MiB. */
  readonly '2M': number;
  /** Leaves of 1 GiB. */
  readonly '1G': number;
}

/** Memory of a process that counts against its limit. */
export interface LockedMemory {
  /** locked_vm in kB. */
  readonly VmLck: number;
}

/** Changes of the counters nr_foll_pin_acquired and nr_foll_pin_released. */
export interface PinCounts {
  /** Pages pinned. */
  readonly acquired: number;
  /** Pages unpinned. */
  readonly released: number;
}

/** The IOMMU page table of the first group. */
export interface IommuTable {
  /** 1 if the device has a translation table. */
  readonly present: number;
  /** Page-table pages, the root included. */
  readonly pt_pages: number;
  /** Leaves per size. */
  readonly leaf: LeafCounts;
  /** Runs in all, also those that are not listed. */
  readonly runs_total: number;
  /** Runs in address order, at most 8192. */
  readonly runs: readonly IommuRun[];
}

/** One capability of VFIO_IOMMU_GET_INFO. */
export interface InfoCap {
  /** Number of the capability. */
  readonly id: number;
  /** Its version. */
  readonly version: number;
  /** Its name: `iova_ranges`, `migration`, `dma_avail`. */
  readonly name: string;
  /** What it says. */
  readonly [field: string]: unknown;
}

/** VFIO_IOMMU_GET_INFO with its capability chain. */
export interface IommuInfo {
  /** Bytes of the structure; in a recording, of the program's buffer. */
  readonly argsz: number;
  /** VFIO_IOMMU_INFO_*. */
  readonly flags: number;
  /** iova_pgsizes. */
  readonly pgsizes: string;
  /** The capability chain, in order. */
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
  /** The operation. */
  readonly op: string;
  /** 0 or more, or -1 with `errno`. */
  readonly ret: number;
  /** Name of the error, or null. */
  readonly errno: string | null;
  /** IOVA argument. */
  readonly iova?: string;
  /** Address argument; of an mmap, where the region lies. */
  readonly va?: string;
  /** Size argument; of an mmap, that of the region. */
  readonly size?: string;
  /** Flags argument. */
  readonly flags?: number;
  /** Size of the structure in bytes. */
  readonly argsz?: number;
  /** Size field of the unmap structure afterwards. */
  readonly size_out?: string;
  /** Unused entries of dma_entry_limit; absent without a type1 container. */
  readonly avail?: number;
  /** Memory of the process. */
  readonly mm: LockedMemory;
  /** Pages pinned and unpinned by the step. */
  readonly pins: PinCounts;
  /** Soft RLIMIT_MEMLOCK in bytes, null for unlimited. */
  readonly memlock: number | null;
  /** Physical layout of the regions that changed. */
  readonly layout?: Readonly<Record<string, readonly LayoutExtent[]>>;
  /** IOMMU page table if it changed. */
  readonly iommu?: IommuTable;
  /** Calls per kernel function, those without a call left out. */
  readonly calls?: Readonly<Record<string, number>>;
  /** Calls in order, folded: entries and returns of the functions that are probed. */
  readonly trace?: readonly string[];
  /** Entry and return events, those that `trace` leaves out included. */
  readonly trace_total?: number;
  /** VFIO_IOMMU_GET_INFO. */
  readonly info?: IommuInfo;
  /** VFIO_CHECK_EXTENSION of 1 to 11. */
  readonly ext?: Readonly<Record<string, number>>;
  /** Dirty bitmap that was read. */
  readonly bitmap?: DirtyBitmap;
  /** Bus address of a BAR. */
  readonly bar_phys?: string;
  /** Which check failed, and what it saw. Only a model knows. */
  readonly failure?: Failure;
}
