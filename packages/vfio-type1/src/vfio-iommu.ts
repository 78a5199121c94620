/**
 * The state of a type1 container (`struct vfio_iommu`).
 *
 * @source drivers/vfio/vfio_iommu_type1.c struct vfio_iommu, struct vfio_domain, 6.16;
 * reference type1.md §1
 */
import type { Counters } from '@pinfold/base';
import type { IommuDomain } from '@pinfold/iommu';
import type { Memory } from '@pinfold/mm';
import { DmaList } from './dma.ts';
import type { IovaRange } from './iova-list.ts';
import { PutCount } from './put-pfn.ts';
import type { Type1Rules } from './rules.ts';
import type { IoctlResult } from './uapi.ts';

/** Parameters of the vfio_iommu_type1 module. */
export interface ModuleParams {
  /** disable_hugepages: pin and map page by page. */
  readonly disableHugepages: boolean;
  /** dma_entry_limit: mappings that a container may have. */
  readonly dmaEntryLimit: number;
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
  /** type1 rules of the kernel. */
  readonly rules: Type1Rules;
  /** Module parameters. */
  readonly params: ModuleParams;
  /** Whether an unmap must not cut a mapping (TYPE1v2). */
  readonly v2: boolean;
  /** The domains; the first is the newest, and the one that is read back. */
  readonly domainList: IommuDomain[] = [];
  /** Usable I/O virtual addresses; empty means no restriction. */
  iovaList: readonly IovaRange[] = [];
  /** The mappings. */
  readonly dmaList: DmaList = new DmaList();
  /** Mappings that may still be made. */
  dmaAvail: number;
  /** Number of mappings whose vaddr is invalid. */
  vaddrInvalidCount = 0;
  /** log2 of the smallest IOMMU page size, in pages. */
  pgsizeOrder = 0;
  /** Scratch of the page-by-page put. */
  readonly put: PutCount = new PutCount();
  /** The check that failed last, for the result of the ioctl. */
  failure: Omit<IoctlResult, 'ret'> | null = null;

  /**
   * @param memory the machine's memory
   * @param rules type1 rules of the kernel
   * @param params module parameters
   * @param v2 true for TYPE1v2
   */
  constructor(memory: Memory, rules: Type1Rules, params: ModuleParams, v2: boolean) {
    this.memory = memory;
    this.rules = rules;
    this.params = params;
    this.v2 = v2;
    this.dmaAvail = params.dmaEntryLimit;
  }

  /** The machine's operation counters. */
  get counters(): Counters {
    return this.memory.counters;
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
