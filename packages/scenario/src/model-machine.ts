/**
 * The model as a machine: one process with a VFIO container, on a kernel release and a machine's
 * facts.
 *
 * Left out, each with a clear error: iommufd, devices without an IOMMU.
 */
import {
  errnoName,
  Errno,
  KernelBug,
  KernelError,
  PMD_ORDER,
  PUD_ORDER,
  type CounterValues,
  type Tracer,
} from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import {
  BuddyAllocator,
  HugetlbPool,
  MemMap,
  Memory,
  MmStruct,
  PageContents,
  Task,
  walkSmaps,
  type BuddyOptions,
  type FrameSource,
  type MemoryRange,
} from '@pinfold/mm';
import {
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VfioContainer,
  type DirtyResult,
  type InfoResult,
  type KernelVersion,
  type Type1Rules,
} from '@pinfold/vfio-type1';
import { ExternalCalls } from './external-calls.ts';
import { ExtpinDriver } from './extpin-driver.ts';
import { failureOf, type Failure } from './failure.ts';
import { GuestDevices } from './guest-devices.ts';
import { GuestProcess } from './guest-process.ts';
import { iommuTableOf, NO_TABLE } from './iommu-table.ts';
import type { MachineView } from './invariants.ts';
import { kernelCalls } from './kernel-calls.ts';
import { messageFields } from './kernel-messages.ts';
import { layoutOf } from './layout.ts';
import { DEFAULT_FACTS, type MachineFacts } from './machine-facts.ts';
import type { Machine } from './machine.ts';
import type {
  DirtyBitmap,
  IommuInfo,
  IommuTable,
  LayoutExtent,
  Observation,
} from './observation.ts';
import type { Operation } from './operation.ts';
import { armFault, type StepFault } from './step-faults.ts';
import { writeSysfs, type WritableParams } from './sysfs.ts';

/** What a {@link ModelMachine} is made of. */
export interface ModelMachineOptions {
  /** The kernel. */
  readonly kernel: KernelVersion;
  /** Facts of the machine; default: those of the recordings' guest. */
  readonly facts?: Partial<MachineFacts>;
  /** Where frames come from; default: a buddy allocator. */
  readonly frames?: FrameSource;
  /** Seed and fragmentation of that buddy allocator. */
  readonly buddy?: BuddyOptions;
  /** Where the frames of forked children come from; default: as the parent's. */
  readonly childFrames?: FrameSource;
  /** Whether the process's smaps are read after each step, as in the trace passes of recordings. */
  readonly readsSmaps?: boolean;
  /** Whether the bytes in memory are kept; without them all memory reads as zeros. Default: true. */
  readonly keepsBytes?: boolean;
  /** Sees the calls of the machine. */
  readonly tracer?: Tracer;
  /** Replaces parts of the kernel's type1 rules, for example the pin algorithm. */
  readonly type1?: Partial<Type1Rules>;
}

/** What an operation returned, before the state after it is read. */
export interface Done extends Partial<Observation> {
  /** 0, or a negative errno. */
  readonly code: number;
}

const IOMMU_TYPES = { v1: 1, v2: 3, nesting: 6 } as const;
/** Room that the program gives GET_INFO, in bytes. */
const INFO_ARGSZ = 8192;
/** What stands for an errno where the kernel has died. */
const BUG = 'BUG';
/** Operations that leave mappings and layout as they are. */
const LAYOUT_STAYS: ReadonlySet<string> = new Set([
  ...(['unmap', 'info', 'memlock', 'dropcap', 'sysfs', 'dirty'] as const),
  ...(['unpin', 'unpinlist', 'extmode'] as const),
]);
/** The model of one machine with one process. */
export class ModelMachine implements Machine {
  readonly #options: ModelMachineOptions;
  readonly #facts: MachineFacts;
  readonly #memory: Memory;
  readonly #process: GuestProcess;
  readonly #params: WritableParams;
  readonly #driver: ExtpinDriver;
  readonly #devices: GuestDevices;
  readonly #external: ExternalCalls;
  #container: VfioContainer | null = null;
  #died: Observation | undefined;
  #layouts = new Map<string, readonly LayoutExtent[]>();
  #table = '';
  /** What fails in the next step. */
  #fault: StepFault | null = null;
  #faultFired = false;

  /**
   * @param options kernel, facts and frames
   * @throws {InputError} when the facts contradict each other
   */
  constructor(options: ModelMachineOptions) {
    const facts: MachineFacts = { ...DEFAULT_FACTS, ...options.facts };
    this.#options = options;
    this.#facts = facts;
    const memmap = new MemMap(facts.memory, facts.memoryModel);
    this.#memory = new Memory(memmap, options.kernel.mm);
    this.#memory.frames = options.frames ?? buddyAllocator(facts, options.buddy);
    this.#memory.tracer = options.tracer ?? null;
    this.#memory.zeroPfn = facts.zeroPfn;
    this.#memory.hugeZeroPfn = facts.hugeZeroPfn;
    this.#memory.thp = facts.thp;
    this.#memory.addHugetlbPool(new HugetlbPool(PMD_ORDER, facts.hugepages['2M']));
    this.#memory.addHugetlbPool(new HugetlbPool(PUD_ORDER, facts.hugepages['1G']));
    this.#params = { ...facts.params };
    // The process is root until it drops its capability.
    this.#process = new GuestProcess(new Task(new MmStruct(this.#memory), facts.memlock, true));
    if (options.keepsBytes !== false) this.#memory.contents = new PageContents();
    this.#driver = new ExtpinDriver();
    this.#devices = new GuestDevices(facts.devices, intelVtd(facts.awBits), this.#driver);
    const childFrames = options.childFrames ?? null;
    this.#external = new ExternalCalls(this.#memory, this.#process, this.#devices, childFrames);
  }

  /** What is left to see when an operation has ended in a BUG of the kernel. */
  get died(): Observation | undefined {
    return this.#died;
  }

  /** Whether the fault that the last step had to meet has happened. */
  get faultFired(): boolean {
    return this.#faultFired;
  }

  perform(operation: Operation): Promise<Observation> {
    const { counters, vmstat } = this.#memory;
    const before = counters.snapshot();
    const { nrFollPinAcquired, nrFollPinReleased } = vmstat;
    const show = ({ code, ...shown }: Done): Observation => {
      const pins = {
        acquired: vmstat.nrFollPinAcquired - nrFollPinAcquired,
        released: vmstat.nrFollPinReleased - nrFollPinReleased,
      };
      return {
        op: operation.op,
        ret: code < 0 ? -1 : code,
        errno: code < 0 ? errnoName(code) : null,
        ...shown,
        ...this.#state(operation, counters.since(before)),
        pins,
      };
    };
    try {
      const done = this.#attempt(operation);
      if (this.#options.readsSmaps) walkSmaps(this.#process.task.mm);
      return Promise.resolve(show(done));
    } catch (error) {
      if (error instanceof KernelBug) {
        const failure = failureOf(error.at, { bug: error.message });
        this.#died = { ...show({ code: 0, failure }), ret: -1, errno: BUG };
      }
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  exit(): Promise<number> {
    return Promise.resolve(this.end());
  }

  /**
   * Does one operation without looking at what it has led to.
   *
   * @param operation the operation
   * @returns what it returned, and what a call of it showed by itself
   * @throws {InputError} when the machine cannot do it at all
   * @throws {KernelBug} when the kernel dies of it
   */
  apply(operation: Operation): Done {
    const done = this.#attempt(operation);
    this.#driver.takeNotifications();
    return done;
  }

  /**
   * Ends the process, as {@link exit} does.
   *
   * @returns pins that are left in the machine, in pages
   */
  end(): number {
    this.#closeAll();
    this.#process.exit();
    return this.#memory.vmstat.pinsHeld;
  }

  /**
   * Shows what an audit looks at; nothing of it may be changed.
   *
   * @returns memory, files and containers as they are now
   */
  inspect(): MachineView {
    const joined = this.#devices.containers;
    const idle = this.#container && !joined.includes(this.#container) ? this.#container : null;
    return {
      ranges: this.#facts.memory,
      fragmented: (this.#options.buddy?.fragmentation ?? 0) > 0,
      memory: this.#memory,
      files: this.#process.files,
      containers: [...joined, ...(idle ? [idle] : [])],
    };
  }

  /** What a VFIO call throws is what the kernel returns. */
  #attempt(operation: Operation): Done {
    const armed = this.#fault && armFault(this.#fault, this.#memory, this.inspect().containers);
    this.#fault = null;
    try {
      return this.#do(operation);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const shown = operation.op === 'open' ? this.#extensions() : {};
      return { code: -error.errno, failure: failureOf(error.at, error.detail), ...shown };
    } finally {
      armed?.undo();
      this.#faultFired = armed?.fired ?? false;
    }
  }

  #do(operation: Operation): Done {
    switch (operation.op) {
      case 'open':
      case 'opencontainer':
      case 'setiommu':
      case 'addgroup':
      case 'delgroup':
      case 'close':
      case 'device':
      case 'closedev':
      case 'addext':
      case 'delext':
      case 'unset':
      case 'pcicmd':
        return this.#doVfio(operation);
      case 'pin':
        return this.#external.pin(operation);
      case 'unpin':
        return this.#external.unpin(operation);
      case 'pinlist':
      case 'unpinlist':
        return this.#external.list(operation);
      case 'dmarw':
        return this.#external.dmaRw(operation);
      case 'poke':
      case 'peek':
        return this.#external.bytes(operation);
      case 'extmode':
        this.#devices.emulated(operation.dev).ext.setMode(operation);
        return { code: 0 };
      case 'mmap':
      case 'touch':
      case 'munmap':
      case 'mlock':
      case 'munlock':
      case 'mprotect':
      case 'madvise':
        return this.#doMemory(operation);
      case 'map':
      case 'unmap':
      case 'info':
        return this.#doIoctl(operation);
      case 'dirty':
        return this.#doDirty(operation);
      case 'memlock':
      case 'dropcap':
      case 'sysfs':
        return this.#doSetting(operation);
      case 'fork':
        return { code: this.#process.fork(this.#options.childFrames ?? null) };
      case 'reap':
        return { code: this.#process.reap() };
      case 'fail':
        this.#fault = { what: operation.what, n: operation.n };
        return { code: 0 };
    }
  }

  #doVfio(
    operation: Extract<
      Operation,
      {
        op:
          | 'open'
          | 'opencontainer'
          | 'setiommu'
          | 'addgroup'
          | 'delgroup'
          | 'close'
          | 'device'
          | 'closedev'
          | 'addext'
          | 'delext'
          | 'unset'
          | 'pcicmd';
      }
    >,
  ): Done {
    switch (operation.op) {
      case 'open':
        this.#openContainer();
        this.#join(operation.dev);
        this.#needContainer().setIommu(IOMMU_TYPES[operation.type]);
        return { code: 0, ...this.#extensions(), ...this.#info() };
      case 'opencontainer':
        this.#openContainer();
        return { code: 0 };
      case 'setiommu':
        this.#needContainer().setIommu(operation.type);
        return { code: 0 };
      case 'addgroup':
        this.#join(operation.dev);
        return { code: 0 };
      case 'delgroup':
        this.#devices.leave(this.#devices.get(operation.dev));
        return { code: 0 };
      case 'close':
        this.#closeAll();
        return { code: 0 };
      case 'device':
        return { code: this.#devices.openFile(this.#devices.get(operation.dev)) };
      case 'closedev':
        return { code: this.#devices.closeFile(this.#devices.get(operation.dev)) };
      case 'addext':
        this.#join(operation.dev);
        return { code: this.#devices.openFile(this.#devices.get(operation.dev)) };
      case 'unset':
        this.#devices.unset(this.#devices.get(operation.dev));
        return { code: 0 };
      case 'delext':
        return this.#removeExternal(operation);
      case 'pcicmd': {
        const { mm } = this.#process.task;
        const device = this.#devices.get(operation.dev);
        return { code: this.#devices.writeCommand(device, operation.val, mm) };
      }
    }
  }

  /** The group's file is closed whether or not it could leave its container. */
  #removeExternal({ dev, keepfd }: Extract<Operation, { op: 'delext' }>): Done {
    const device = this.#devices.get(dev);
    if (!keepfd) this.#devices.closeFile(device);
    try {
      this.#devices.unset(device);
      return { code: 0 };
    } finally {
      this.#devices.closeGroup(device);
    }
  }

  #doMemory(
    operation: Extract<
      Operation,
      { op: 'mmap' | 'touch' | 'munmap' | 'mlock' | 'munlock' | 'mprotect' | 'madvise' }
    >,
  ): Done {
    const process = this.#process;
    switch (operation.op) {
      case 'mmap': {
        const { ret, region } = process.mmap(operation, this.#devices);
        if (!region) return { code: ret };
        const place = {
          va: hex(BigInt(region.vpn) << 12n),
          size: hex(BigInt(region.npage) << 12n),
        };
        const bar =
          operation.kind === 'bar'
            ? this.#devices.barOf(operation.dev ?? '', operation.bar ?? 0)
            : 0;
        const phys = typeof bar === 'number' ? {} : { bar_phys: hex(BigInt(bar.pfn) << 12n) };
        return { code: ret, ...place, ...phys };
      }
      case 'touch':
        return { code: process.touch(operation) };
      case 'mprotect':
        return { code: process.mprotect(operation.va, operation.size, operation.prot) };
      case 'madvise':
        return { code: process.madvise(operation.va, operation.size, operation.advice) };
      default:
        return { code: process.range(operation.op, operation.va, operation.size) };
    }
  }

  #doDirty(operation: Extract<Operation, { op: 'dirty' }>): Done {
    const { flags, argsz, iova, size, pgsize, bmsize } = operation;
    const range = { iova, size, bitmap: { pgsize, size: bmsize } };
    const done = this.#needContainer().tryDirtyPages({ flags, argsz, range });
    const wanted = (flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) !== 0;
    const shown = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
    return { code: done.ret, flags, argsz, ...shown, ...failure(done) };
  }

  #doIoctl(operation: Extract<Operation, { op: 'map' | 'unmap' | 'info' }>): Done {
    const container = this.#needContainer();
    if (operation.op === 'info') {
      const done = container.tryGetInfo(INFO_ARGSZ);
      return { code: done.ret, ...failure(done), ...asInfo(done) };
    }
    const { op, iova, size, flags, argsz } = operation;
    const shown = { iova: hex(iova), size: hex(size), flags, argsz };
    if (op === 'map') {
      const vaddr = operation.va;
      const done = container.tryMapDma(this.#process.task, { iova, vaddr, size, flags, argsz });
      return { code: done.ret, ...shown, va: hex(vaddr), ...failure(done) };
    }
    const { pgsize, bmsize } = operation;
    const bitmap =
      bmsize === undefined ? {} : { bitmap: { pgsize: pgsize ?? 4096n, size: bmsize } };
    const done = container.tryUnmapDma({ iova, size, flags, argsz, ...bitmap });
    const wanted = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
    const dirty = wanted ? { bitmap: asBitmap(done, size / (pgsize ?? 4096n)) } : {};
    return { code: done.ret, ...shown, size_out: hex(done.size), ...dirty, ...failure(done) };
  }

  #doSetting(operation: Extract<Operation, { op: 'memlock' | 'dropcap' | 'sysfs' }>): Done {
    const { task } = this.#process;
    if (operation.op === 'dropcap') task.capIpcLock = false;
    else if (operation.op === 'memlock') {
      // RLIM_INFINITY is all ones.
      task.rlimitMemlock = operation.bytes >= 2n ** 63n ? Infinity : Number(operation.bytes);
    } else writeSysfs(operation.path, operation.val, this.#memory, this.#params);
    return { code: 0 };
  }

  /** The state after a step; what did not change since it was last shown is left out. */
  #state(
    operation: Operation,
    counted: CounterValues,
  ): Omit<Observation, 'op' | 'ret' | 'errno' | 'pins'> {
    const { task } = this.#process;
    const avail = this.#container?.tryGetInfo(INFO_ARGSZ).info
      ? this.#container.iommu.dmaAvail
      : undefined;
    const layout = LAYOUT_STAYS.has(operation.op) ? undefined : this.#changedLayout();
    const iommu = this.#changedTable();
    return {
      ...(avail === undefined ? {} : { avail }),
      mm: { VmLck: task.mm.lockedVm * 4 },
      memlock: task.rlimitMemlock === Infinity ? null : task.rlimitMemlock,
      ...(layout ? { layout } : {}),
      ...(iommu ? { iommu } : {}),
      ...this.#driverFields(),
      ...messageFields(this.#memory.log.take()),
      calls: kernelCalls(counted),
    };
  }

  /** What the emulated devices hold, and what they were told. */
  #driverFields(): Pick<Observation, 'held' | 'notify' | 'notify_total'> {
    const { held } = this.#driver;
    const { total, list } = this.#driver.takeNotifications();
    return { ...(held && { held }), ...(total > 0 && { notify_total: total, notify: list }) };
  }

  #changedLayout(): Record<string, readonly LayoutExtent[]> | undefined {
    const changed: Record<string, readonly LayoutExtent[]> = {};
    for (const [name, { vpn, npage }] of this.#process.regions) {
      const extents = layoutOf(this.#process.task.mm, vpn, npage);
      if (sameLayout(this.#layouts.get(name), extents)) continue;
      this.#layouts.set(name, extents);
      changed[name] = extents;
    }
    return Object.keys(changed).length > 0 ? changed : undefined;
  }

  #changedTable(): IommuTable | undefined {
    const { firstPci } = this.#devices;
    if (!firstPci?.iommuGroup) return undefined;
    const domain = firstPci.container?.domainOf(firstPci.iommuGroup);
    const table = domain ? iommuTableOf(domain) : NO_TABLE;
    const text = JSON.stringify(table);
    if (text === this.#table) return undefined;
    this.#table = text;
    return table;
  }

  #extensions(): Partial<Observation> {
    const container = this.#container;
    if (!container) return {};
    const numbers = Array.from({ length: 11 }, (_, i) => i + 1);
    return { ext: Object.fromEntries(numbers.map((n) => [n, container.checkExtension(n)])) };
  }

  #info(): Partial<Observation> {
    return asInfo(this.#needContainer().tryGetInfo(INFO_ARGSZ));
  }

  #openContainer(): void {
    const { kernel, type1 } = this.#options;
    const rules = type1 ? { type1 } : {};
    this.#container = new VfioContainer({
      kernel,
      memory: this.#memory,
      params: this.#params,
      ...rules,
    });
  }

  #needContainer(): VfioContainer {
    if (this.#container) return this.#container;
    throw new KernelError('ioctl', Errno.EBADF, 'ioctl', { container: 'not open' });
  }

  #join(alias: string): void {
    const { task } = this.#process;
    this.#devices.join(this.#devices.get(alias), this.#needContainer(), task);
  }

  #closeAll(): void {
    this.#devices.closeAll();
    this.#container = null;
    this.#table = '';
  }
}

/**
 * A buddy allocator over a machine's memory, with its huge pages set aside.
 *
 * @param facts the machine
 * @param options seed and fragmentation
 * @param ranges the memory that it has; default: all of the machine's
 * @returns the allocator
 * @source mm/hugetlb.c hugetlb_init, 6.16
 */
export function buddyAllocator(
  facts: MachineFacts,
  options: BuddyOptions = {},
  ranges: readonly MemoryRange[] = facts.memory,
): BuddyAllocator {
  const buddy = new BuddyAllocator(ranges, options);
  buddy.setAside(PUD_ORDER, facts.hugepages['1G']);
  buddy.setAside(PMD_ORDER, facts.hugepages['2M']);
  return buddy;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function failure(done: { ret: number; at: string; detail: Readonly<Record<string, unknown>> }): {
  failure?: Failure;
} {
  return done.ret < 0 ? { failure: failureOf(done.at, done.detail) } : {};
}

/**
 * The program's bitmap: cleared before the call, shown after a failed one too, and of its last word
 * only what stands for pages of the range.
 */
function asBitmap({ bitmap }: Pick<DirtyResult, 'bitmap'>, pages: bigint): DirtyBitmap {
  if (!bitmap) return { runs: [], set: 0 };
  bitmap.clear(Number(pages), bitmap.bits);
  return { runs: [...bitmap.runs()], set: bitmap.set };
}

function asInfo({ info }: InfoResult): { info?: IommuInfo } {
  if (!info) return {};
  const caps = info.caps.map((cap) => {
    const { id, version, name } = cap;
    const header = { id, version, name };
    if (cap.name === 'migration') {
      const sizes = {
        pgsize_bitmap: hex(cap.pgsizeBitmap),
        max_dirty_bitmap_size: hex(cap.maxDirtyBitmapSize),
      };
      return { ...header, flags: cap.flags, ...sizes };
    }
    if (cap.name === 'dma_avail') return { ...header, avail: cap.avail };
    return { ...header, ranges: cap.ranges.map(({ start, end }) => [hex(start), hex(end)]) };
  });
  return { info: { argsz: info.argsz, flags: info.flags, pgsizes: hex(info.iovaPgsizes), caps } };
}

function sameLayout(
  old: readonly LayoutExtent[] | undefined,
  now: readonly LayoutExtent[],
): boolean {
  if (old?.length !== now.length) return false;
  return old.every((extent, i) => extent.every((value, field) => value === now[i][field]));
}
