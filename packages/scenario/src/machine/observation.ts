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
  leaf: string,
  perm: 'r' | 'w' | 'rw',
];

/** Leaves of an IOMMU page table per size: of `4K`, `2M` and `1G` always, of others if there are any. */
export type LeafCounts = Readonly<Record<string, number>>;

/** Memory of a process that counts against its limit. */
export interface LockedMemory {
  /** locked_vm in kB; below zero where the kernel, which shows it unsigned, wraps. */
  readonly VmLck: number;
  /** pinned_vm in kB; absent where nothing of iommufd was ever used. */
  readonly VmPin?: number;
  /** locked_vm of the user in kB; absent as VmPin. */
  readonly UserLck?: number;
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

/** Pages that a call pinned: `[index, first frame, pages]`; null in place of a frame: no page. */
export type PfnRun = readonly [index: number, pfn: number | null, count: number];

/** Bytes that were read. */
export interface ByteData {
  /** Number of bytes. */
  readonly len: number;
  /** FNV-1a with 64 bits over all of them, hexadecimal. */
  readonly fnv: string;
  /** `[offset, byte, count]`, at most 64. */
  readonly runs: readonly (readonly [number, number, number])[];
}

/** A dma_unmap call of an emulated device. */
export interface DmaUnmapNotification {
  /** Alias of the device. */
  readonly dev: string;
  /** The mapping that goes. */
  readonly iova: string;
  /** Its size. */
  readonly size: string;
  /** References in its range that the device held when the call came. */
  readonly held: number;
  /** References that it gave back. */
  readonly released: number;
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
  /** What a file of sysfs contains after it was written; absent if there is none. */
  readonly after?: string;
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
  /** Alias of the emulated device. */
  readonly dev?: string;
  /** Pages argument. */
  readonly npage?: number;
  /** Access argument. */
  readonly prot?: number;
  /** Times that a call was made. */
  readonly times?: number;
  /** Length argument in bytes. */
  readonly len?: number;
  /** Whether a device writes: 1 or 0. */
  readonly write?: number;
  /** I/O virtual addresses of a list. */
  readonly iovas?: readonly string[];
  /** The page array after the call. */
  readonly pfns?: readonly PfnRun[];
  /** Result per element of a list: a number or the name of an error. */
  readonly rets?: readonly (number | string)[];
  /** Bytes that were read. */
  readonly data?: ByteData;
  /** References that every open emulated device holds, as it sees it. */
  readonly held?: Readonly<Record<string, number>>;
  /** The dma_unmap calls of the step, at most 256. */
  readonly notify?: readonly DmaUnmapNotification[];
  /** Number of all dma_unmap calls of the step. */
  readonly notify_total?: number;
  /** Warnings of the kernel. */
  readonly warn?: number;
  /** Messages of the kernel. */
  readonly klog?: readonly string[];
  /** Of the warnings, how many a place gives once per boot. Only a model knows. */
  readonly warnedOnce?: readonly string[];
  /** IOVA of the structure after an ioctl of iommufd: the one that was chosen. */
  readonly iova_out?: string;
  /** Whether the device was opened with its group, by a program that does so. */
  readonly device_opened?: boolean;
  /** Id of the IOAS that was made. */
  readonly ioas?: number;
  /** Id of a device that was bound. Pinfold's own. */
  readonly devid?: number;
  /** Value of an option. */
  readonly val?: number;
  /** Ranges that there are. */
  readonly num?: number;
  /** What addresses have to be multiples of. */
  readonly align?: string;
  /** Ranges of addresses, both ends inclusive. */
  readonly ranges?: readonly (readonly [start: string, last: string])[];
  /** Memory of the child that made the call, at its end. */
  readonly child_mm?: LockedMemory;
  /** IOMMU page tables of further devices, if they changed, by alias. */
  readonly tables?: Readonly<Record<string, IommuTable>>;
  /** Which check failed, and what it saw. Only a model knows. */
  readonly failure?: Failure;
}
