/**
 * A random process and a container with groups of every kind, for comparing pin algorithms: what each
 * step returns, and everything that it leaves behind, as text.
 */
import { Errno, KernelError } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { MmStruct, Task, type Memory } from '@pinfold/mm';
import {
  VfioContainer,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  VFIO_TYPE1v2_IOMMU,
  type DirtyBitmap,
  type PinAlgorithm,
  type VfioDevice,
  type VfioDma,
  type VfioGroup,
  type VfioIommu,
} from '../src/index.ts';
import { folioCounts } from './audit.ts';
import { bitmapBytes, runsOf } from './emulated.ts';
import type { EveryStep } from './every-step.ts';
import { bytes } from './guest.ts';
import { ioctlOf, type Ioctl, type Setup } from './ioctls.ts';
import { watch } from './watched-table.ts';
import { buildWorld, type BuiltWorld, type World } from './world.ts';
import type { TestKernel } from './kernels.ts';

/** An ioctl or another call, the same for all machines. */
export type Call =
  | Ioctl
  | { readonly op: 'pin'; iova: bigint; npage: number; prot: number }
  | { readonly op: 'unpin'; which: number }
  | { readonly op: 'group'; which: number }
  | { readonly op: 'dirty'; flags: number; iovaPn: number; npage: number }
  | { readonly op: 'fail'; from: number };

/** Pages that the device has pinned with one call. */
interface Pinned {
  readonly iovaPn: number;
  readonly npage: number;
}

const DIRTY: Readonly<Record<string, number>> = {
  start: VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  stop: VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  get: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
};
/** No page of the I/O address space. */
const NOWHERE = -1;

/** A process, its container, and a device without an IOMMU. */
export class Machine {
  readonly memory: Memory;
  readonly algorithm: PinAlgorithm;
  readonly #world: BuiltWorld;
  readonly #tasks: readonly [Task, Task];
  readonly #container: VfioContainer;
  readonly #groups: readonly VfioGroup[];
  readonly #device: VfioDevice;
  readonly #in = new Set<VfioGroup>();
  #pins: Pinned[] = [];
  /** At which of its pages the next map fails, modulo their number; or nowhere. */
  #failNext = NOWHERE;
  /** Mapping this page fails, in every domain. */
  #failAt = NOWHERE;

  constructor(world: World, setup: Setup, kernel: TestKernel, pinAlgorithm: PinAlgorithm) {
    const classic = buildWorld(world, kernel.mm);
    // Range unpin by page + i is a bug of the kernel there; it has a test of its own.
    const breaks = kernel.mm.rangeUnpinStep === 'page + i' && classic.pages.runOverSections();
    this.#world = breaks
      ? buildWorld({ ...world, model: 'sparsemem-vmemmap' }, kernel.mm)
      : classic;
    const { memory, mm } = this.#world;
    this.memory = memory;
    this.algorithm = pinAlgorithm;
    const limit = setup.memlockPages * 4096;
    this.#tasks = [
      new Task(mm, limit, setup.capIpcLock),
      new Task(new MmStruct(memory), limit, false),
    ];
    const group = { emulated: true, name: 'mediated' } as const;
    this.#groups = [
      group,
      { name: 'one', unit: intelVtd(48) },
      { name: 'two', unit: { ...intelVtd(48), snoopControl: true } },
      { name: 'three', unit: intelVtd(39) },
    ];
    this.#device = { name: 'mdev', group, dmaUnmap: (iova, size) => this.#giveBack(iova, size) };
    this.#container = new VfioContainer({ kernel, memory, params: setup, type1: { pinAlgorithm } });
    this.#container.addGroup(group);
    // Without external pins, v1 shows nothing more.
    this.#container.setIommu(VFIO_TYPE1v2_IOMMU);
    this.#container.openDevice(this.#device);
    this.#in.add(group);
  }

  get iommu(): VfioIommu {
    return this.#container.iommu;
  }

  /** Whether a page is pinned externally that is reserved: it has a frame but holds no pin. */
  get reservedIsPinned(): boolean {
    const { memmap } = this.memory;
    return [...this.iommu.dmaList].some(({ pfnList }) =>
      [...pfnList].some(({ pfn }) => memmap.pageReserved(pfn)),
    );
  }

  /** Whether a map has been made to fail, or the next one will be. */
  get fails(): boolean {
    return this.#failNext !== NOWHERE || this.#failAt !== NOWHERE;
  }

  /** The call that a step is now; it depends on the mappings that exist. */
  call(what: EveryStep): Call {
    const dmas = [...this.iommu.dmaList];
    const dma: Pinned = ('which' in what ? dmas[what.which % (dmas.length || 1)] : null) ?? {
      iovaPn: 256,
      npage: 1,
    };
    switch (what.op) {
      case 'pin': {
        const iova = bytes(dma.iovaPn + (what.from % dma.npage));
        return { op: 'pin', iova, npage: what.npage, prot: what.prot };
      }
      case 'dirty':
        return { op: 'dirty', flags: DIRTY[what.what], iovaPn: dma.iovaPn, npage: dma.npage };
      case 'fail':
      case 'unpin':
      case 'group':
        return what;
      default: {
        const aperturePages = 2 ** 36;
        return ioctlOf(what, { borders: this.#world.borders, dmas, aperturePages });
      }
    }
  }

  /** Does it; returns what it returned. */
  run(call: Call): readonly [number, ...unknown[]] {
    const container = this.#container;
    switch (call.op) {
      case 'map': {
        const npage = Math.max(1, Number(call.args.size >> 12n));
        const fails = this.#failNext !== NOWHERE;
        this.#failAt = fails ? Number(call.args.iova >> 12n) + (this.#failNext % npage) : NOWHERE;
        this.#failNext = NOWHERE;
        return [container.tryMapDma(this.#tasks[call.other ? 1 : 0], call.args).ret];
      }
      case 'unmap': {
        const { ret, size } = container.tryUnmapDma(call.args);
        return [ret, size];
      }
      case 'limit':
        this.#tasks[0].rlimitMemlock = call.memlockPages * 4096;
        this.#tasks[0].capIpcLock = call.capIpcLock;
        return [0];
      case 'pin':
        return this.#pin(call.iova, call.npage, call.prot);
      case 'unpin':
        for (const { iovaPn, npage } of this.#pins.splice(call.which % (this.#pins.length || 1), 1))
          container.unpinPages(this.#device, bytes(iovaPn), npage);
        return [0];
      case 'group':
        return [this.#toggle(this.#groups[call.which])];
      case 'dirty':
        return this.#dirty(call.flags, call.iovaPn, call.npage);
      case 'fail':
        this.#failNext = call.from;
        return [0];
    }
  }

  /** Everything that algorithms must leave alike. */
  state(): string {
    const { iommu, memory } = this;
    const dmas = Array.from(iommu.dmaList, dmaAsList);
    const { dmaAvail, vaddrInvalidCount, dirtyPageTracking, numNonPinnedGroups } = iommu;
    const { nrFollPinAcquired, nrFollPinReleased } = memory.vmstat;
    const counts = [dmaAvail, vaddrInvalidCount, dirtyPageTracking, numNonPinnedGroups];
    return [
      ...dmas.map((dma) => JSON.stringify(dma)),
      JSON.stringify([counts, this.#tasks.map(({ mm }) => mm.lockedVm)]),
      nrFollPinAcquired - nrFollPinReleased,
      folioCounts(memory.memmap).join(' '),
      ...iommu.domainList.map(({ domain }) => translations(domain.leaves())),
      [...memory.warnings].join(),
    ].join('\n');
  }

  /** Which folios are dirty. */
  dirtyFolios(): string {
    return Array.from(
      this.memory.memmap.foliosInUse(),
      ({ pfn, flags }) => `${pfn}:${flags}`,
    ).join();
  }

  /** Ends everything; what must be 0 then. */
  close(): readonly number[] {
    for (const { iovaPn, npage } of this.#pins.splice(0))
      this.#container.unpinPages(this.#device, bytes(iovaPn), npage);
    const states = [...this.iommu.dmaList];
    this.#container.closeDevice(this.#device);
    for (const group of this.#in) this.#container.removeGroup(group);
    const remembered = states.filter(({ pinState }) => pinState !== null).length;
    return [this.memory.vmstat.pinsHeld, remembered, ...this.#tasks.map(({ mm }) => mm.lockedVm)];
  }

  #pin(iova: bigint, npage: number, prot: number): readonly [number, string] {
    const pages: number[] = [];
    const ret = this.#container.tryPinPages(this.#device, iova, npage, prot, pages);
    if (ret > 0) this.#pins.push({ iovaPn: Number(iova >> 12n), npage });
    return [ret, pages.join()];
  }

  /** dma_unmap: gives back all pins that touch the range. */
  #giveBack(iova: bigint, size: bigint): void {
    const first = Number(iova >> 12n);
    const end = first + Number(size >> 12n);
    const touches = ({ iovaPn, npage }: Pinned): boolean => iovaPn < end && first < iovaPn + npage;
    for (const { iovaPn, npage } of this.#pins.filter(touches))
      this.#container.unpinPages(this.#device, bytes(iovaPn), npage);
    this.#pins = this.#pins.filter((pinned) => !touches(pinned));
  }

  /** Attaches or detaches a group behind an IOMMU; the one without stays, for its device is open. */
  #toggle(group: VfioGroup): number {
    if (group === this.#groups[0]) return 0;
    const known = new Set(this.iommu.domainList);
    try {
      if (this.#in.has(group)) this.#container.removeGroup(group);
      else this.#container.addGroup(group, this.#tasks[0]);
    } catch (error) {
      if (error instanceof KernelError) return -error.errno;
      throw error;
    }
    if (!this.#in.delete(group)) this.#in.add(group);
    const made = this.iommu.domainList.findIndex((domain) => !known.has(domain));
    if (made >= 0) this.#watch(made);
    return 0;
  }

  #watch(which: number): void {
    const map = (iovaPn: number, npage: number): { error: number; mapped: number } | null =>
      iovaPn <= this.#failAt && this.#failAt < iovaPn + npage
        ? { error: -Errno.ENOMEM, mapped: this.#failAt - iovaPn }
        : null;
    watch(this.iommu, { map }, which);
  }

  #dirty(flags: number, iovaPn: number, npage: number): readonly [number, ...unknown[]] {
    const bitmap = { pgsize: 4096n, size: BigInt(bitmapBytes(npage)) };
    const range = { iova: bytes(iovaPn), size: bytes(npage), bitmap };
    const get = flags === VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
    const done = this.#container.tryDirtyPages({ flags, ...(get && { range }) });
    return [done.ret, dirtyRuns(done.bitmap)];
  }
}

function dirtyRuns(bitmap: DirtyBitmap | null): number[][] | null {
  return bitmap && runsOf(bitmap);
}

function dmaAsList(dma: VfioDma): unknown[] {
  const pins = Array.from(dma.pfnList, ({ iovaPn, pfn, refCount }) => [iovaPn, pfn, refCount]);
  const { iovaPn, npage, vaddr, vaddrInvalid, lockedVm, iommuMapped } = dma;
  return [iovaPn, npage, vaddr, vaddrInvalid, lockedVm, iommuMapped, pins, dirtyRuns(dma.bitmap)];
}

/** What leaves translate: runs, whatever the leaves' sizes are. */
function translations(
  leaves: Iterable<{ iovaPn: number; pfn: number; order: number; prot: number }>,
): string {
  const runs: { iovaPn: number; pfn: number; npage: number; prot: number }[] = [];
  for (const { iovaPn, pfn, order, prot } of leaves) {
    const last = runs.at(-1);
    const length = last?.npage ?? 0;
    if (last?.iovaPn === iovaPn - length && last.pfn === pfn - length && last.prot === prot)
      last.npage += 2 ** order;
    else runs.push({ iovaPn, pfn, npage: 2 ** order, prot });
  }
  return runs.map(({ iovaPn, pfn, npage, prot }) => `${iovaPn}+${npage}:${pfn}/${prot}`).join(' ');
}
