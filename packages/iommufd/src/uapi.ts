/**
 * Flags and numbers of iommufd's user interface, and the structures of its ioctls as they are given
 * to the model.
 *
 * @source include/uapi/linux/iommufd.h, 7.2
 */
import type { MappedFile, PciBar } from '@pinfold/mm';

/** IOMMU_IOAS_MAP: map at `iova` instead of choosing a place. */
export const IOMMU_IOAS_MAP_FIXED_IOVA = 1;
/** IOMMU_IOAS_MAP: the device may write. */
export const IOMMU_IOAS_MAP_WRITEABLE = 2;
/** IOMMU_IOAS_MAP: the device may read. */
export const IOMMU_IOAS_MAP_READABLE = 4;

/** IOMMU_OPTION: which user limit counts, 0 the user's, 1 the process's. */
export const IOMMU_OPTION_RLIMIT_MODE = 0;
/** IOMMU_OPTION: whether an IOAS maps by leaves larger than a page. */
export const IOMMU_OPTION_HUGE_PAGES = 1;
/** IOMMU_OPTION: set. */
export const IOMMU_OPTION_OP_SET = 0;
/** IOMMU_OPTION: get. */
export const IOMMU_OPTION_OP_GET = 1;

/** iommufd_access_pin_pages, iommufd_access_rw: the driver will write. */
export const IOMMUFD_ACCESS_RW_WRITE = 1;
/** iommufd_access_rw: the caller has no address space of its own. */
export const IOMMUFD_ACCESS_RW_KTHREAD = 2;
/** iommufd_access_rw of the test command: take the slow path. */
export const IOMMUFD_ACCESS_RW_SLOW_PATH = 4;

/** The largest number of 64 bits: "everything", and the end of the address space. */
export const U64_MAX: bigint = 2n ** 64n - 1n;

/** A dma-buf of a part of a BAR, as vfio-pci exports it. */
export interface DmaBuf {
  /** The BAR; null for the buffer of another exporter. */
  readonly bar: PciBar | null;
  /** First page of it. */
  readonly offset: number;
  /** Length in pages. */
  readonly npage: number;
}

/** What a file descriptor stands for. */
export type MappableFile =
  | { readonly kind: 'dmabuf'; readonly dmabuf: DmaBuf }
  | { readonly kind: 'file'; readonly file: MappedFile; readonly bytes: bigint }
  | null;

/** struct iommu_ioas_map. */
export interface IommuIoasMap {
  /** IOMMU_IOAS_MAP_*. */
  readonly flags: number;
  /** The IOAS. */
  readonly ioasId: number;
  /** Must be 0. */
  readonly reserved?: number;
  /** Address of the memory. */
  readonly userVa: bigint;
  /** Length in bytes. */
  readonly length: bigint;
  /** Where to map it, with FIXED_IOVA. */
  readonly iova: bigint;
}

/** struct iommu_ioas_map_file. */
export interface IommuIoasMapFile {
  /** IOMMU_IOAS_MAP_*. */
  readonly flags: number;
  /** The IOAS. */
  readonly ioasId: number;
  /** Must be 0. */
  readonly reserved?: number;
  /** The descriptor, which only a tracer sees. */
  readonly fd: number;
  /** What the descriptor stands for; null: it is not open. */
  readonly file: MappableFile;
  /** First byte of the file. */
  readonly start: bigint;
  /** Length in bytes. */
  readonly length: bigint;
  /** Where to map it, with FIXED_IOVA. */
  readonly iova: bigint;
}

/** struct iommu_ioas_copy. */
export interface IommuIoasCopy {
  /** IOMMU_IOAS_MAP_*. */
  readonly flags: number;
  /** The IOAS that gets the mapping. */
  readonly dstIoasId: number;
  /** The IOAS that has it. */
  readonly srcIoasId: number;
  /** Length in bytes. */
  readonly length: bigint;
  /** Where to map it, with FIXED_IOVA. */
  readonly dstIova: bigint;
  /** First byte of what is copied. */
  readonly srcIova: bigint;
}

/** A range of I/O virtual addresses in bytes. */
export interface IovaRange {
  /** First byte. */
  readonly start: bigint;
  /** Last byte, inclusive. */
  readonly last: bigint;
}
