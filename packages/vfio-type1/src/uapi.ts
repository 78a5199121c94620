/**
 * The ioctl interface under its UAPI names. Byte addresses (`bigint`) stop here: everything below
 * works in pages.
 *
 * @source include/uapi/linux/vfio.h, 6.16
 */
import type { DirtyBitmap } from './dirty-bitmap.ts';

/** VFIO_SET_IOMMU: type1, in which unmapping a part of a mapping removes it whole or not at all. */
export const VFIO_TYPE1_IOMMU = 1;
/** VFIO_SET_IOMMU: type1 v2, in which an unmap must not cut a mapping. */
export const VFIO_TYPE1v2_IOMMU = 3;
/** VFIO_SET_IOMMU: type1 v2 with nested translation; no IOMMU that is modelled can do it. */
export const VFIO_TYPE1_NESTING_IOMMU = 6;
/** VFIO_NOIOMMU_IOMMU, the type of containers of no-IOMMU groups. */
export const VFIO_NOIOMMU_IOMMU = 8;
/** VFIO_CHECK_EXTENSION: DMA is cache coherent, whatever the device asks for. */
export const VFIO_DMA_CC_IOMMU = 4;
/** VFIO_CHECK_EXTENSION: unmapping knows {@link VFIO_DMA_UNMAP_FLAG_ALL}. */
export const VFIO_UNMAP_ALL = 9;
/** VFIO_CHECK_EXTENSION: a mapping's vaddr can be invalidated and given anew. */
export const VFIO_UPDATE_VADDR = 10;

/** The device may read the memory. */
export const VFIO_DMA_MAP_FLAG_READ = 1;
/** The device may write to the memory. */
export const VFIO_DMA_MAP_FLAG_WRITE = 2;
/** Give a mapping whose vaddr was invalidated a new one. */
export const VFIO_DMA_MAP_FLAG_VADDR = 4;

/** Return the dirty bitmap of what is unmapped. */
export const VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP = 1;
/** Unmap everything; iova and size must be 0. */
export const VFIO_DMA_UNMAP_FLAG_ALL = 2;
/** Keep the mapping, invalidate its vaddr only. */
export const VFIO_DMA_UNMAP_FLAG_VADDR = 4;

/** Log dirty pages from now on. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_START = 1;
/** Log no dirty pages any more, and forget those that were logged. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP = 2;
/** Read the dirty pages of a range. */
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP = 4;

/** Bytes of the fixed part of struct vfio_iommu_type1_dma_map. */
export const DMA_MAP_MINSZ = 32;
/** Bytes of the fixed part of struct vfio_iommu_type1_dma_unmap. */
export const DMA_UNMAP_MINSZ = 24;
/** `iova_pgsizes` is there. */
export const VFIO_IOMMU_INFO_PGSIZES = 1;
/** There are capabilities, whether they fitted or not. */
export const VFIO_IOMMU_INFO_CAPS = 2;

/** Bytes of struct vfio_iommu_type1_info up to its page sizes. */
export const INFO_MINSZ = 16;
/** Bytes of struct vfio_iommu_type1_info; the capabilities follow it. */
export const INFO_SIZE = 24;
/** Bytes of struct vfio_bitmap. */
export const VFIO_BITMAP_SIZE = 24;
/** Bytes of the fixed part of struct vfio_iommu_type1_dirty_bitmap. */
export const DIRTY_BITMAP_MINSZ = 8;
/** Bytes of struct vfio_iommu_type1_dirty_bitmap_get, which follows it. */
export const DIRTY_BITMAP_GET_SIZE = 40;

/** struct vfio_iommu_type1_dma_map; addresses and size in bytes, unsigned 64 bit. */
export interface VfioIommuType1DmaMap {
  /** Size of the structure in bytes; default {@link DMA_MAP_MINSZ}. */
  readonly argsz?: number;
  /** VFIO_DMA_MAP_FLAG_*; default READ | WRITE. */
  readonly flags?: number;
  /** Process virtual address. */
  readonly vaddr: bigint;
  /** I/O virtual address. */
  readonly iova: bigint;
  /** Size of the mapping. */
  readonly size: bigint;
}

/** struct vfio_bitmap. */
export interface VfioBitmap {
  /** Page size of one bit, in bytes. */
  readonly pgsize: bigint;
  /** Size of the bitmap, in bytes. */
  readonly size: bigint;
  /**
   * The memory that the data pointer points to; default: `size` bytes of zeros. Where it ends
   * before that, memory is not there: EFAULT.
   */
  readonly data?: DirtyBitmap;
}

/** struct vfio_iommu_type1_dma_unmap; address and size in bytes, unsigned 64 bit. */
export interface VfioIommuType1DmaUnmap {
  /** Size of the structure in bytes; default {@link DMA_UNMAP_MINSZ}, plus the bitmap's if given. */
  readonly argsz?: number;
  /** VFIO_DMA_UNMAP_FLAG_*; default 0. */
  readonly flags?: number;
  /** I/O virtual address. */
  readonly iova: bigint;
  /** Size of the range. */
  readonly size: bigint;
  /** Bitmap that follows the structure, with GET_DIRTY_BITMAP. */
  readonly bitmap?: VfioBitmap;
}

/** struct vfio_iommu_type1_dirty_bitmap_get; address and size in bytes, unsigned 64 bit. */
export interface VfioIommuType1DirtyBitmapGet {
  /** I/O virtual address. */
  readonly iova: bigint;
  /** Size of the range. */
  readonly size: bigint;
  /** Bitmap to fill; its first bit stands for the page at `iova`. */
  readonly bitmap: VfioBitmap;
}

/** struct vfio_iommu_type1_dirty_bitmap. */
export interface VfioIommuType1DirtyBitmap {
  /** Size of the structure in bytes; default {@link DIRTY_BITMAP_MINSZ}, plus the range's if given. */
  readonly argsz?: number;
  /** VFIO_IOMMU_DIRTY_PAGES_FLAG_*, one of them. */
  readonly flags: number;
  /** Range that follows the structure, with GET_BITMAP. */
  readonly range?: VfioIommuType1DirtyBitmapGet;
}

/** What an ioctl returned. */
export interface IoctlResult {
  /** 0, or a negative errno. */
  readonly ret: number;
  /** Kernel function whose check failed; empty on success. */
  readonly at: string;
  /** The values that the check saw; empty on success. */
  readonly detail: Readonly<Record<string, string | number | boolean | bigint>>;
}

/** What VFIO_IOMMU_UNMAP_DMA returned. */
export interface UnmapResult extends IoctlResult {
  /** The structure's size field afterwards, in bytes: what was unmapped, or the input on failure. */
  readonly size: bigint;
  /**
   * Memory of the dirty bitmap afterwards; null if none was asked for, or an argument was refused
   * before anything could be written.
   */
  readonly bitmap: DirtyBitmap | null;
}

/** What VFIO_IOMMU_DIRTY_PAGES returned. */
export interface DirtyResult extends IoctlResult {
  /**
   * Memory of the bitmap after GET_BITMAP; null after START and STOP, or if an argument was refused
   * before anything could be written.
   */
  readonly bitmap: DirtyBitmap | null;
}

/** struct vfio_iommu_type1_info_cap_migration. */
export interface MigrationCap {
  /** Number of the capability. */
  readonly id: 2;
  /** Version of the capability. */
  readonly version: 1;
  /** Its name. */
  readonly name: 'migration';
  /** No flag is defined. */
  readonly flags: number;
  /** Page sizes that a dirty bitmap may have, one bit each, in bytes: the smallest only. */
  readonly pgsizeBitmap: bigint;
  /** Largest dirty bitmap in bytes. */
  readonly maxDirtyBitmapSize: bigint;
}

/** struct vfio_iommu_type1_info_dma_avail. */
export interface DmaAvailCap {
  /** Number of the capability. */
  readonly id: 3;
  /** Version of the capability. */
  readonly version: 1;
  /** Its name. */
  readonly name: 'dma_avail';
  /** Mappings that may still be made. */
  readonly avail: number;
}

/** struct vfio_iommu_type1_info_cap_iova_range. */
export interface IovaRangeCap {
  /** Number of the capability. */
  readonly id: 1;
  /** Version of the capability. */
  readonly version: 1;
  /** Its name. */
  readonly name: 'iova_ranges';
  /** Usable I/O virtual addresses in bytes, both ends inclusive. */
  readonly ranges: readonly { readonly start: bigint; readonly end: bigint }[];
}

/** A capability of VFIO_IOMMU_GET_INFO. */
export type VfioIommuType1InfoCap = MigrationCap | DmaAvailCap | IovaRangeCap;

/** struct vfio_iommu_type1_info with the chain behind it. */
export interface VfioIommuType1Info {
  /** Size of the structure in bytes; if the capabilities did not fit, the size that would do. */
  readonly argsz: number;
  /** VFIO_IOMMU_INFO_*. */
  readonly flags: number;
  /** IOMMU page sizes, one bit each, in bytes. */
  readonly iovaPgsizes: bigint;
  /** Offset of the first capability in bytes; 0 if they did not fit. */
  readonly capOffset: number;
  /** The capabilities in the order of the chain; none if they did not fit. */
  readonly caps: readonly VfioIommuType1InfoCap[];
}

/** What VFIO_IOMMU_GET_INFO returned. */
export interface InfoResult extends IoctlResult {
  /** The structure afterwards, null on failure. */
  readonly info: VfioIommuType1Info | null;
}
