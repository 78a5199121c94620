/**
 * The ioctls of a VFIO container that an iommufd answers.
 *
 * Left out: noiommu.
 *
 * @source drivers/iommu/iommufd/vfio_compat.c, 7.2; reference iommufd.md §8 and "Recorded";
 * recordings 7.2-iofd compat-dev and compat-lazy
 */
import { Errno, PAGE_SIZE } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import { ioptCutIova } from './cut-area.ts';
import type { IommufdIoas } from './ioas.ts';
import type { Iommufd } from './iommufd.ts';
import type { IovaRange } from './uapi.ts';

/** VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_DMA_CC_IOMMU and VFIO_UNMAP_ALL. */
const [TYPE1, TYPE1_V2, DMA_CC, UNMAP_ALL] = [1, 3, 4, 9];
/** VFIO_DMA_MAP_FLAG_READ and VFIO_DMA_MAP_FLAG_WRITE. */
const [MAP_READ, MAP_WRITE] = [1, 2];
/** VFIO_DMA_UNMAP_FLAG_ALL. */
const UNMAP_FLAG_ALL = 2;
/** Bytes of the structures of MAP_DMA and UNMAP_DMA, and of GET_INFO up to the page sizes. */
const [MAP_MINSZ, UNMAP_MINSZ, INFO_MINSZ] = [32, 24, 16];
/** Bytes of GET_INFO's structure, of its two capabilities without ranges, and of a range. */
const [INFO_SIZE, CAP_DMA_AVAIL, CAP_IOVA, CAP_RANGE] = [24, 16, 16, 16];
/** 2^64. */
const U64 = 1n << 64n;

/** The structure of VFIO_IOMMU_MAP_DMA. */
export interface CompatMap {
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Address of the process in bytes. */
  readonly vaddr: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** VFIO_DMA_MAP_FLAG_*; default: read and write. */
  readonly flags?: number;
  /** Bytes of the structure; default: all. */
  readonly argsz?: number;
}

/** The structure of VFIO_IOMMU_UNMAP_DMA. */
export interface CompatUnmap {
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** VFIO_DMA_UNMAP_FLAG_*; default: none. */
  readonly flags?: number;
  /** Bytes of the structure; default: all. */
  readonly argsz?: number;
}

/** What VFIO_IOMMU_GET_INFO tells. */
export interface CompatInfo {
  /** Bytes that the structure and all its capabilities need. */
  readonly argsz: number;
  /** Page sizes, each as its bit. */
  readonly pgsizes: bigint;
  /** Ranges that can be mapped. */
  readonly ranges: readonly IovaRange[];
  /** Whether the capabilities fit. */
  readonly fits: boolean;
}

/** An iommufd as a VFIO container. */
export class VfioCompat {
  /** The iommufd. */
  readonly fd: Iommufd;

  /** @param fd the iommufd */
  constructor(fd: Iommufd) {
    this.fd = fd;
  }

  /**
   * A group joins: there is an I/O address space from then on.
   *
   * @returns the I/O address space
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_compat_ioas_create, 7.2
   */
  createIoas(): IommufdIoas {
    this.fd.vfioIoas ??= this.fd.ioasAlloc();
    return this.fd.vfioIoas;
  }

  /**
   * VFIO_CHECK_EXTENSION.
   *
   * @param extension its number
   * @returns 1 or 0; -ENODEV for VFIO_DMA_CC_IOMMU before the first group
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_check_extension, 7.2
   */
  checkExtension(extension: number): number {
    if (extension === TYPE1 || extension === TYPE1_V2 || extension === UNMAP_ALL) return 1;
    if (extension !== DMA_CC) return 0;
    const ioas = this.#ioas();
    if (typeof ioas === 'number') return ioas;
    return ioas.hwpts.every(({ domain }) => domain.unit.snoopControl) ? 1 : 0;
  }

  /**
   * VFIO_SET_IOMMU. It may be left out, and be called again.
   *
   * @param type VFIO_TYPE1_IOMMU, of which mappings can be cut, or VFIO_TYPE1v2_IOMMU
   * @returns 0; -EINVAL for another type, or where large pages are in use already; -ENODEV before the
   *   first group
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_set_iommu, 7.2; recording v07
   */
  setIommu(type: number): number {
    this.fd.begin();
    if (type !== TYPE1 && type !== TYPE1_V2) {
      const { refusals } = this.fd.context;
      return refusals.refuse('vfio_compat: type1 or type1 v2', Errno.EINVAL, { type });
    }
    const ioas = this.#ioas();
    if (typeof ioas === 'number') return ioas;
    return type === TYPE1 ? ioas.iopt.doDisableLargePages() : 0;
  }

  /**
   * VFIO_IOMMU_MAP_DMA. Neither readable nor writeable is not refused here, but by the domain.
   *
   * @param current the calling process
   * @param map the structure
   * @returns 0 or a negative errno
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_map_dma, 7.2
   */
  mapDma(current: Task, map: CompatMap): number {
    const { iova, vaddr, size, flags = MAP_READ | MAP_WRITE, argsz = MAP_MINSZ } = map;
    this.fd.begin();
    const error = this.#checkStructure(argsz, MAP_MINSZ, flags, MAP_READ | MAP_WRITE);
    if (error !== 0) return error;
    const ioas = this.#ioas();
    if (typeof ioas === 'number') return ioas;
    const prot =
      IOMMU.CACHE | (flags & MAP_READ ? IOMMU.READ : 0) | (flags & MAP_WRITE ? IOMMU.WRITE : 0);
    const placed = this.fd.mapUserPages(current, ioas.iopt, vaddr, size, iova, prot);
    return 'error' in placed ? placed.error : 0;
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA. What was unmapped before an error is told.
   *
   * @param unmap the structure
   * @returns 0 or a negative errno, and the size in the structure
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_unmap_dma, 7.2; recordings u03 and u06
   */
  unmapDma(unmap: CompatUnmap): { readonly ret: number; readonly size: bigint } {
    const { iova, size, flags = 0, argsz = UNMAP_MINSZ } = unmap;
    const { refusals } = this.fd.context;
    this.fd.begin();
    const error = this.#checkStructure(argsz, UNMAP_MINSZ, flags, UNMAP_FLAG_ALL);
    if (error !== 0) return { ret: error, size };
    const ioas = this.#ioas();
    if (typeof ioas === 'number') return { ret: ioas, size };
    const { iopt } = ioas;
    if (flags & UNMAP_FLAG_ALL) {
      if (iova !== 0n || size !== 0n) {
        const check = 'vfio_compat: all of it is named by no range';
        return { ret: refusals.refuse(check, Errno.EINVAL, { iova, size }), size };
      }
      const { ret, bytes } = iopt.unmapIovaRange(0n, U64 - 1n);
      return { ret, size: bytes };
    }
    if (iopt.disableLargePages) {
      const lasts = [BigInt.asUintN(64, iova + size - 1n), ...(iova > 0n ? [iova - 1n] : [])];
      const ret = ioptCutIova(iopt, lasts);
      if (ret !== 0) return { ret, size };
    }
    if (size === 0n) {
      const check = 'iopt_unmap_iova: the length is not 0';
      return { ret: refusals.refuse(check, Errno.EINVAL, { iova }), size };
    }
    if (iova + size > U64) {
      const check = 'iopt_unmap_iova: the range does not wrap';
      return { ret: refusals.refuse(check, Errno.EOVERFLOW, { iova, length: size }), size: 0n };
    }
    const { ret, bytes } = iopt.unmapIovaRange(iova, iova + size - 1n);
    return { ret, size: bytes };
  }

  /**
   * VFIO_IOMMU_GET_INFO: `argsz` becomes what is needed, also where there was more.
   *
   * @param argsz bytes of the structure and the room after it
   * @returns what it tells; -EINVAL for too small a structure; -ENODEV before the first group
   * @source drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_iommu_get_info, 7.2; recording i01
   */
  getInfo(argsz: number): CompatInfo | number {
    this.fd.begin();
    const error = this.#checkStructure(argsz, INFO_MINSZ, 0, 0);
    if (error !== 0) return error;
    const ioas = this.#ioas();
    if (typeof ioas === 'number') return ioas;
    const ranges = ioas.iopt.iovaRanges();
    const needed = INFO_SIZE + CAP_DMA_AVAIL + CAP_IOVA + CAP_RANGE * ranges.length;
    return { argsz: needed, pgsizes: pageSizes(ioas), ranges, fits: argsz >= needed };
  }

  #checkStructure(argsz: number, minsz: number, flags: number, known: number): number {
    if (argsz >= minsz && (flags & ~known) === 0) return 0;
    const { refusals } = this.fd.context;
    return refusals.refuse('vfio_compat: argsz, flags', Errno.EINVAL, {
      ...{ argsz, minsz, flags, knownFlags: known },
    });
  }

  /** get_compat_ioas. */
  #ioas(): IommufdIoas | number {
    const { refusals } = this.fd.context;
    return (
      this.fd.vfioIoas ?? refusals.refuse('iommufd_get_object: a compatibility IOAS', Errno.ENODEV)
    );
  }
}

/** iommufd_get_pagesizes: those of all domains, without a domain every size from a page on. */
function pageSizes({ iopt }: IommufdIoas): bigint {
  let sizes = BigInt.asUintN(64, -BigInt(PAGE_SIZE));
  for (const { table } of iopt.domains) {
    sizes &= table.pageOrders.reduce(
      (all, order) => all | (BigInt(PAGE_SIZE) << BigInt(order)),
      0n,
    );
  }
  const alignment = BigInt(iopt.iovaAlignment);
  return sizes > alignment ? sizes : alignment;
}
