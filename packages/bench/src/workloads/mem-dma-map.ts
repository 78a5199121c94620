/**
 * The unit test `vfio-pci-mem-dma-map`: a process maps its populated memory for DMA in one
 * VFIO_IOMMU_MAP_DMA and unmaps it in one VFIO_IOMMU_UNMAP_DMA. Only these two calls are measured.
 *
 * The process has no CAP_IPC_LOCK and an unlimited RLIMIT_MEMLOCK, so that the kernel tests the
 * limit and never hits it. The device sits behind a VT-d unit with 2 MiB and 1 GiB superpages.
 */
import {
  byteAddress,
  ModelBug,
  PAGE_SIZE,
  type Counters,
  type IovaPn,
  type Vpn,
} from '@pinfold/base';
import { iommuKind, type IoLeaf } from '@pinfold/iommu';
import type { KernelVersion } from '@pinfold/kernels';
import { MemMap, Memory, mmapMemory, MmStruct, Task } from '@pinfold/mm';
import { VFIO_TYPE1v2_IOMMU, VfioContainer, type PinAlgorithm } from '@pinfold/vfio-type1';
import type { Backing } from '../backings.ts';
import type { Layout } from '../layouts.ts';

/** The process's buffer: at 64 GiB, aligned to every leaf size. */
const VADDR = 2 ** 24;
/** Where the device sees it: 4 GiB, above the interrupt window and aligned to every leaf size. */
const IOVA = 2 ** 20;

/** The kind of IOMMU that published figures are of. */
export const DEFAULT_IOMMU = 'intel-vtd';

/** What is mapped, and on which kernel. */
export interface MemDmaMapOptions {
  /** The kernel. */
  readonly kernel: KernelVersion;
  /** The pin algorithm; default that of the kernel. */
  readonly pinAlgorithm?: PinAlgorithm;
  /** What the memory is. */
  readonly backing: Backing;
  /** Where its frames lie. */
  readonly layout: Layout;
  /** Size of the mapping, a multiple of the backing's page size. */
  readonly bytes: number;
  /** Pages by which the device sees it later, so that addresses and frames are not congruent. */
  readonly iovaOffset?: number;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string | undefined;
}

/** A machine with one process, its memory populated, and one container. */
export class MemDmaMap {
  /** First virtual page of the process's buffer. */
  readonly vaddr: Vpn = VADDR;
  /** First I/O virtual page at which the device sees it. */
  readonly iovaPn: IovaPn;
  /** Its length in pages. */
  readonly npage: number;
  readonly #memory: Memory;
  readonly #task: Task;
  readonly #container: VfioContainer;
  readonly #size: bigint;

  /** @param options what is mapped, and on which kernel */
  constructor(options: MemDmaMapOptions) {
    const { kernel, pinAlgorithm = kernel.type1.pinAlgorithm, backing, layout, bytes } = options;
    const { iommu = DEFAULT_IOMMU } = options;
    const npage = bytes / PAGE_SIZE;
    const placement = layout.place(VADDR, npage);
    const memmap = new MemMap([placement.memory]);
    this.npage = npage;
    this.iovaPn = IOVA + (options.iovaOffset ?? 0);
    this.#size = BigInt(bytes);
    this.#memory = new Memory(memmap, kernel.mm);
    const mm = new MmStruct(this.#memory);
    if (backing.order === 0) {
      // A run that starts inside a section touches one section more than it fills.
      memmap.reserveState(npage + memmap.sectionPages, 0);
      mm.pageTable.ptes.reserve(Math.ceil(npage / 512));
    }
    const { kind, order } = backing;
    mmapMemory(mm, { vpn: VADDR, npage, kind, order, frames: placement.frames });
    this.#task = new Task(mm, Infinity);
    this.#container = new VfioContainer({
      ...{ kernel, memory: this.#memory },
      type1: { pinAlgorithm },
    });
    this.#container.addGroup({ name: 'device', unit: iommuKind(iommu).unit() });
    this.#container.setIommu(VFIO_TYPE1v2_IOMMU);
  }

  /** The machine's operation counters. */
  get counters(): Counters {
    return this.#memory.counters;
  }

  /** The process's address space. */
  get mm(): MmStruct {
    return this.#task.mm;
  }

  /**
   * What the IOMMU maps.
   *
   * @returns the leaves of its page table in address order
   */
  leaves(): Iterable<IoLeaf> {
    return this.#container.iommu.domainList[0].domain.leaves();
  }

  /** VFIO_IOMMU_MAP_DMA of the whole buffer. */
  map(): void {
    const vaddr = byteAddress(VADDR);
    this.#container.mapDma(this.#task, { vaddr, iova: byteAddress(this.iovaPn), size: this.#size });
  }

  /** VFIO_IOMMU_UNMAP_DMA of the whole buffer. */
  unmap(): void {
    this.#container.unmapDma({ iova: byteAddress(this.iovaPn), size: this.#size });
  }

  /**
   * Checks that nothing of a mapping is left.
   *
   * @throws {ModelBug} when a page is still pinned or charged, or the modelled kernel warned
   */
  checkReleased(): void {
    const { vmstat, warnings } = this.#memory;
    const { lockedVm } = this.#task.mm;
    if (vmstat.pinsHeld === 0 && lockedVm === 0 && warnings.size === 0) return;
    const warned = [...warnings].map(([at, what]) => `${at}: ${what}`).join('; ');
    const left = `${vmstat.pinsHeld} pins and ${lockedVm} charged pages are left`;
    throw new ModelBug(`after unmapping everything, ${left}${warned && `; ${warned}`}`);
  }
}
