/** A process with a container: what the tests of the ioctls start from. */
import { Errno, errnoName, type CounterValues, X86_64 } from '@pinfold/base';
import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import {
  MemMap,
  Memory,
  mmapMemory,
  mmapPfnmap,
  MmStruct,
  PrescribedLayout,
  Task,
  type MemoryKind,
  type MemoryModel,
  type MemoryRange,
  type Prot,
} from '@pinfold/mm';
import {
  VfioContainer,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type IoctlResult,
  type ModuleParams,
  type Type1Rules,
  type UnmapResult,
  type VfioGroup,
  type VfioIommu,
} from '../src/index.ts';
import { RUNS, type TestKernel } from './kernels.ts';

/** Pages of a section, 128 MiB. */
export const SECTION: number = X86_64.sectionPages;
/** First virtual page that {@link Guest.mmap} uses unless told otherwise: 4 GiB. */
export const VPN: number = 2 ** 20;
/** First frame that it uses: inside section 1. */
export const PFN: number = SECTION + 512;
/** Device memory, far above all memory. */
export const BAR: number = 2 ** 26;

/** How a guest differs from the usual one. */
export interface GuestOptions {
  /** Release; default 6.18. */
  readonly kernel?: TestKernel;
  /** Type1v2 (default) or type1. */
  readonly v2?: boolean;
  /** RLIMIT_MEMLOCK in pages; default unlimited. */
  readonly memlockPages?: number;
  /** CAP_IPC_LOCK; default not held. */
  readonly capIpcLock?: boolean;
  readonly params?: Partial<ModuleParams>;
  readonly type1?: Partial<Type1Rules>;
  /** The IOMMU; default 48-bit VT-d. */
  readonly unit?: IommuUnit;
  /** The group that is in from the beginning; default: one behind the IOMMU. */
  readonly group?: VfioGroup;
  /** Memory; default sections 1 to 8, and 9 movable. */
  readonly ranges?: readonly MemoryRange[];
  readonly model?: MemoryModel;
  readonly seed?: number;
}

/** Memory to map. */
export interface Mmap {
  readonly vpn?: number;
  readonly pfn?: number;
  readonly npage: number;
  readonly order?: number;
  readonly kind?: MemoryKind;
  readonly prot?: Prot;
}

/** Device memory to map. */
export interface MmapBar {
  readonly vpn?: number;
  readonly pfn?: number;
  readonly npage: number;
  readonly maxLeafOrder?: number;
  readonly prot?: Prot;
}

const RANGES: readonly MemoryRange[] = [
  { pfn: SECTION, npage: 8 * SECTION },
  { pfn: 9 * SECTION, npage: SECTION, zone: 'movable' },
];

/** One process, one container, one device group. */
export class Guest {
  readonly memory: Memory;
  readonly mm: MmStruct;
  readonly task: Task;
  readonly container: VfioContainer;

  constructor(options: GuestOptions = {}) {
    const { kernel = RUNS, v2 = true, memlockPages = Infinity, capIpcLock = false } = options;
    const { params, type1, unit = intelVtd(), ranges = RANGES, model, seed } = options;
    const { group = { name: 'device', unit } } = options;
    this.memory = new Memory(new MemMap(ranges, model, seed), kernel.mm);
    this.mm = new MmStruct(this.memory);
    this.task = new Task(this.mm, memlockPages * 4096, capIpcLock);
    this.container = new VfioContainer({
      kernel,
      memory: this.memory,
      ...(params && { params }),
      ...(type1 && { type1 }),
    });
    this.container.addGroup(group);
    this.container.setIommu(v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
  }

  get iommu(): VfioIommu {
    return this.container.iommu;
  }

  /** Maps memory; frames and virtual pages from {@link PFN} and {@link VPN} on. */
  mmap({ vpn = VPN, pfn = PFN, npage, order = 0, kind = 'anon', prot }: Mmap): this {
    const frames = new PrescribedLayout([{ vpn, pfn, npage, order }]);
    mmapMemory(this.mm, { vpn, npage, kind, order, frames, ...(prot && { prot }) });
    return this;
  }

  /** Maps small pages whose frames are listed, as one VMA. */
  mmapFrames(vpn: number, pfns: readonly number[]): this {
    const frames = new PrescribedLayout(
      pfns.map((pfn, i) => ({ vpn: vpn + i, pfn, npage: 1, order: 0 })),
    );
    mmapMemory(this.mm, { vpn, npage: pfns.length, kind: 'anon', order: 0, frames });
    return this;
  }

  /** Maps device memory. */
  mmapBar({ vpn = VPN, pfn = BAR, npage, maxLeafOrder, prot }: MmapBar): this {
    const order = maxLeafOrder === undefined ? {} : { maxLeafOrder };
    mmapPfnmap(this.mm, { vpn, pfn, npage, ...order, ...(prot && { prot }) });
    return this;
  }

  /** VFIO_IOMMU_MAP_DMA in pages. */
  map(
    iovaPn: number,
    npage: number,
    vpn: number = VPN,
    flags = 3,
    task: Task = this.task,
  ): IoctlResult {
    return this.container.tryMapDma(task, {
      iova: bytes(iovaPn),
      size: bytes(npage),
      vaddr: bytes(vpn),
      flags,
    });
  }

  /** VFIO_IOMMU_UNMAP_DMA in pages. */
  unmap(iovaPn: number, npage: number, flags = 0): UnmapResult {
    return this.container.tryUnmapDma({ iova: bytes(iovaPn), size: bytes(npage), flags });
  }

  /** What a step counts. */
  counted(step: () => void): CounterValues {
    const before = this.memory.counters.snapshot();
    step();
    return this.memory.counters.since(before);
  }

  /** The IOMMU's leaves as [iova page, frame, order], of the first domain. */
  leaves(): number[][] {
    return Array.from(this.iommu.domainList[0].domain.leaves(), ({ iovaPn, pfn, order }) => [
      iovaPn,
      pfn,
      order,
    ]);
  }

  /** The mappings as [first page, pages]. */
  dmas(): number[][] {
    return Array.from(this.iommu.dmaList, ({ iovaPn, npage }) => [iovaPn, npage]);
  }

  /** All that a failed ioctl must leave as it was, as text. */
  state(): string {
    const { iommu, memory } = this;
    const dmas = Array.from(iommu.dmaList, (dma) => [
      dma.iovaPn,
      dma.npage,
      dma.vaddr,
      dma.vaddrInvalid,
      dma.lockedVm,
    ]);
    const folios = Array.from(memory.memmap.foliosInUse(), (f) => [
      f.pfn,
      f.order,
      f.refcount,
      f.pincount,
    ]);
    const { dmaAvail, vaddrInvalidCount } = iommu;
    const { lockedVm } = this.mm;
    const leaves = iommu.domainList.map(({ domain }) => [...domain.leaves()]);
    return JSON.stringify({
      dmas,
      folios,
      leaves,
      dmaAvail,
      vaddrInvalidCount,
      lockedVm,
      pins: memory.vmstat.pinsHeld,
    });
  }
}

/** Pages as bytes. */
export function bytes(pages: number): bigint {
  return BigInt(pages) * 4096n;
}

/** The name of a result's errno, or `ok`. */
export function outcome({ ret }: { ret: number }): string {
  return ret === 0 ? 'ok' : errnoName(ret);
}

/** The errno that a name stands for, negative as functions return it. */
export function minus(name: keyof typeof Errno): number {
  return -Errno[name];
}
