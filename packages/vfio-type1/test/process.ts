/** A random process and its container, and the plain model of it beside them. */
import { X86_64, type PageGeometry } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { MmStruct, Task, type Memory } from '@pinfold/mm';
import {
  VfioContainer,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type PinAlgorithm,
  type VfioIommu,
} from '../src/index.ts';
import { audit, folioCounts, leavesAsText, type FolioCounts } from './audit.ts';
import { ioctlOf, type Ioctl, type Setup, type Step } from './ioctls.ts';
import { PlainType1 } from './plain-type1.ts';
import { buildWorld, type BuiltWorld, type World } from './world.ts';
import type { TestKernel } from './kernels.ts';

/** What an ioctl returned. */
export interface Returned {
  readonly ret: number;
  /** Size in the structure afterwards, of an unmap. */
  readonly size?: bigint;
}

/** One run of a sequence. */
export class Process {
  readonly memory: Memory;
  /** The process, and another one that may take its mappings over. */
  readonly tasks: readonly [Task, Task];
  readonly container: VfioContainer;
  readonly plain: PlainType1;
  /** Folio counts before anything was mapped for DMA. */
  readonly before: readonly FolioCounts[];
  readonly #world: BuiltWorld;

  /**
   * Where memory goes on over a section border, range unpin by page + i is a bug of the kernel
   * under classic sparsemem; it has a test of its own, and such a world gets vmemmap here.
   */
  constructor(
    world: World,
    setup: Setup,
    kernel: TestKernel,
    pinAlgorithm: PinAlgorithm,
    geometry: PageGeometry = X86_64,
  ) {
    const classic = buildWorld(world, kernel.mm, geometry);
    const breaks = kernel.mm.rangeUnpinStep === 'page + i' && classic.pages.runOverSections();
    this.#world = breaks
      ? buildWorld({ ...world, model: 'sparsemem-vmemmap' }, kernel.mm, geometry)
      : classic;
    const { memory, mm, pages } = this.#world;
    this.memory = memory;
    const limit = setup.memlockPages * this.memory.memmap.geometry.pageSize;
    this.tasks = [
      new Task(mm, limit, setup.capIpcLock),
      new Task(new MmStruct(memory), limit, false),
    ];
    this.container = new VfioContainer({ kernel, memory, params: setup, type1: { pinAlgorithm } });
    this.container.addGroup({ name: 'device', unit: intelVtd(setup.addressWidth) });
    this.container.setIommu(setup.v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
    this.plain = new PlainType1(
      setup,
      kernel,
      pinAlgorithm,
      pages,
      (pfn) => !memory.memmap.longtermPinnable(pfn),
      geometry,
    );
    this.before = folioCounts(memory.memmap);
  }

  get iommu(): VfioIommu {
    return this.container.iommu;
  }

  /** The ioctl that a step is now; it depends on the mappings that exist. */
  ioctl(step: Step): Ioctl {
    const [{ domain }] = this.iommu.domainList;
    const { aperturePages } = domain.table;
    const { borders } = this.#world;
    const { pageShift } = this.memory.memmap.geometry;
    return ioctlOf(step, { borders, dmas: this.plain.dmas, aperturePages, pageShift });
  }

  /** Does it on the container. */
  run(ioctl: Ioctl): Returned {
    if (ioctl.op === 'map')
      return { ret: this.container.tryMapDma(this.tasks[ioctl.other ? 1 : 0], ioctl.args).ret };
    if (ioctl.op === 'unmap') {
      const { ret, size } = this.container.tryUnmapDma(ioctl.args);
      return { ret, size };
    }
    this.tasks[0].rlimitMemlock = ioctl.memlockPages * this.memory.memmap.geometry.pageSize;
    this.tasks[0].capIpcLock = ioctl.capIpcLock;
    return { ret: 0 };
  }

  /** What it must return; the plain model does it too. */
  expected(ioctl: Ioctl): Returned {
    if (ioctl.op === 'map')
      return { ret: this.plain.map(this.tasks[ioctl.other ? 1 : 0], ioctl.args) };
    if (ioctl.op === 'limit') return { ret: 0 };
    const [ret, size] = this.plain.unmap(ioctl.args);
    return { ret, size };
  }

  /** Throws unless everything is as the plain model says. */
  audit(): void {
    audit(this.iommu, this.memory, this.tasks, this.before, this.plain);
  }

  /** All that a failed ioctl must leave as it was, as text. */
  state(): string {
    const dmas = Array.from(this.iommu.dmaList, (dma) => [
      dma.iovaPn,
      dma.npage,
      dma.vaddr,
      dma.vaddrInvalid,
      dma.lockedVm,
    ]);
    const locked = this.tasks.map(({ mm }) => mm.lockedVm);
    const { dmaAvail, vaddrInvalidCount } = this.iommu;
    const pins = this.memory.vmstat.pinsHeld;
    const rest = JSON.stringify([dmas, locked, dmaAvail, vaddrInvalidCount, pins]);
    return [rest, folioCounts(this.memory.memmap).join(' '), leavesAsText(this.iommu)].join('\n');
  }
}
