/**
 * The state of a type1 container (`struct vfio_iommu`).
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_iommu, vfio_update_pgsize_bitmap, 6.16;
 * reference type1.md §1
 */
import type { Counters } from '@pinfold/base';
import type { Memory } from '@pinfold/mm';
import { DmaList } from './dma.ts';
import type { IovaRange } from './iova-list.ts';
import { PutCount } from './put-pfn.ts';
import type { Type1Rules } from './rules.ts';
import type { IoctlResult } from './uapi.ts';
import type { EmulatedGroup, VfioDevice } from './vfio-device.ts';
import type { IommuGroup, VfioDomain } from './vfio-domain.ts';

const U64_END = 2n ** 64n;

/** Parameters of the vfio_iommu_type1 module. */
export interface ModuleParams {
  /** disable_hugepages: pin and map page by page. Read by every map. */
  readonly disableHugepages: boolean;
  /** dma_entry_limit: mappings that a container may have. Read by VFIO_SET_IOMMU. */
  readonly dmaEntryLimit: number;
  /**
   * enable_unsafe_noiommu_mode of vfio: devices without an IOMMU get groups. Read by VFIO_SET_IOMMU of
   * such a group; default false.
   */
  readonly enableUnsafeNoiommuMode?: boolean;
}

/** The module parameters' defaults. */
export const DEFAULT_MODULE_PARAMS: ModuleParams = {
  disableHugepages: false,
  dmaEntryLimit: 65535,
};

/** State of one type1 container. */
export class VfioIommu {
  /** The machine's memory. */
  readonly memory: Memory;
  /** log2 of the machine's page size in bytes. */
  readonly pageShift: number;
  /** The machine's page size in bytes. */
  readonly pageSize: number;
  /** type1 rules of the kernel. */
  readonly rules: Type1Rules;
  /** Module parameters. */
  readonly params: ModuleParams;
  /** Whether an unmap must not cut a mapping (TYPE1v2). */
  readonly v2: boolean;
  /** Whether domains are to be nested (TYPE1_NESTING, up to 6.12). */
  readonly nesting: boolean;
  /** The domains; the first is the newest, and the one that is read back. */
  readonly domainList: VfioDomain[] = [];
  /** Groups without an IOMMU (emulated_iommu_groups); they have no domain. */
  readonly emulatedGroups: EmulatedGroup[] = [];
  /** Open devices that are told of an unmap (device_list), the last opened first. */
  readonly deviceList: VfioDevice[] = [];
  /** Usable I/O virtual addresses; empty means no restriction. */
  iovaList: readonly IovaRange[] = [];
  /** The mappings. */
  readonly dmaList: DmaList;
  /** Mappings that may still be made. */
  dmaAvail: number;
  /** Number of mappings whose vaddr is invalid. */
  vaddrInvalidCount = 0;
  /** Whether dirty pages are logged: every mapping has a bitmap. */
  dirtyPageTracking = false;
  /** Groups behind an IOMMU that never pinned pages: as long as there is one, all may be dirty. */
  numNonPinnedGroups = 0;
  /** The other groups behind an IOMMU: what they dirty is what they pinned. */
  readonly pinnedPageDirtyScope: Set<IommuGroup> = new Set();
  /** IOMMU page sizes that all domains have, one bit each, in bytes. */
  pgsizeBitmap: bigint;
  /** The smallest of them, in bytes: what addresses and sizes are multiples of. */
  pgsize: bigint;
  /** Scratch of the page-by-page put. */
  readonly put: PutCount = new PutCount();
  /** Scratch of the pin algorithm; only the algorithm knows its shape. */
  pinScratch: unknown = null;
  /** The check that failed last, for the result of the ioctl. */
  failure: Omit<IoctlResult, 'ret'> | null = null;

  /**
   * @param memory the machine's memory
   * @param rules type1 rules of the kernel
   * @param params module parameters
   * @param v2 true for TYPE1v2
   * @param nesting true for TYPE1_NESTING; default false
   */
  constructor(
    memory: Memory,
    rules: Type1Rules,
    params: ModuleParams,
    v2: boolean,
    nesting = false,
  ) {
    const { pageShift, pageSize } = memory.memmap.geometry;
    this.memory = memory;
    this.pageShift = pageShift;
    this.pageSize = pageSize;
    this.pgsizeBitmap = U64_END - BigInt(pageSize);
    this.pgsize = BigInt(pageSize);
    this.rules = rules;
    this.params = params;
    this.v2 = v2;
    this.nesting = nesting;
    this.dmaAvail = params.dmaEntryLimit;
    this.dmaList = new DmaList(pageShift, rules.exclusiveEnds);
  }

  /** The machine's operation counters. */
  get counters(): Counters {
    return this.memory.counters;
  }

  /**
   * Takes the page sizes from the domains, after one has come or gone.
   *
   * @source drivers/vfio/vfio_iommu_type1.c vfio_update_pgsize_bitmap, 6.16
   */
  updatePgsizeBitmap(): void {
    // Sizes of a page and above: no domain restricts them.
    const page = BigInt(this.pageSize);
    let bitmap = U64_END - page;
    for (const { domain } of this.domainList) {
      bitmap &= domain.table.pageOrders.reduce((bits, order) => bits | (page << BigInt(order)), 0n);
    }
    this.pgsizeBitmap = bitmap;
    this.pgsize = bitmap & -bitmap;
  }

  /**
   * Records why an ioctl fails.
   *
   * @param errno positive errno
   * @param at kernel function whose check fails
   * @param detail the values that the check saw
   * @returns -errno
   */
  fail(errno: number, at: string, detail: IoctlResult['detail']): number {
    this.failure = { at, detail };
    return -errno;
  }
}
