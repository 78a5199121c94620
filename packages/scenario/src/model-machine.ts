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
  ModelBug,
  PMD_ORDER,
  PUD_ORDER,
  type CounterValues,
  type Tracer,
} from '@pinfold/base';
import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import {
  BuddyAllocator,
  HugetlbPool,
  MemMap,
  Memory,
  MmStruct,
  PageContents,
  type PageStateArrays,
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
  type IoctlResult,
  type KernelVersion,
  type Type1Rules,
} from '@pinfold/vfio-type1';
import { ExternalCalls } from './external-calls.ts';
import { ExtpinDriver } from './extpin-driver.ts';
import { failureOf, type Failure } from './failure.ts';
import { GuestDevices } from './guest-devices.ts';
import { GuestProcess } from './guest-process.ts';
import type { Done, Guest } from './guest.ts';
import { hex } from './hex.ts';
import { asBitmap, asInfo, vfioBitmap } from './ioctl-fields.ts';
import { iommuTableOf, NO_TABLE } from './iommu-table.ts';
import { kernelCalls } from './kernel-calls.ts';
import { messageFields } from './kernel-messages.ts';
import { layoutOf } from './layout.ts';
import { DEFAULT_FACTS, type MachineFacts } from './machine-facts.ts';
import type { MachineView } from './machine-view.ts';
import type { Machine } from './machine.ts';
import type { IommuTable, LayoutExtent, Observation } from './observation.ts';
import type { MmapOperation, Operation } from './operation.ts';
import type { GuestOp } from './operations/guest-op.ts';
import { guestOps, type GuestOperation } from './operations/index.ts';
import { armFault, type ArmedFault, type StepFault } from './step-faults.ts';
import type { WritableParams } from './sysfs.ts';

export type { Done } from './guest.ts';

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
  /** Where the state of pages is kept: of a machine that is not used any more; default: new arrays. */
  readonly pageState?: PageStateArrays;
  /** Whether the process's smaps are read after each step, as in the trace passes of recordings. */
  readonly readsSmaps?: boolean;
  /** Whether the bytes in memory are kept; without them all memory reads as zeros. Default: true. */
  readonly keepsBytes?: boolean;
  /** Sees the calls of the machine. */
  readonly tracer?: Tracer;
  /** Replaces parts of the kernel's type1 rules, for example the pin algorithm. */
  readonly type1?: Partial<Type1Rules>;
}

const IOMMU_TYPES = { v1: 1, v2: 3, nesting: 6 } as const;
/** Room that the program gives GET_INFO, in bytes. */
const INFO_ARGSZ = 8192;
/** What stands for an errno where the kernel has died. */
const BUG = 'BUG';
/** Operations that leave mappings and layout as they are. */
const LAYOUT_STAYS: ReadonlySet<string> = new Set([
  ...(['unmap', 'info', 'dirty'] as const),
  ...(['unpin', 'unpinlist', 'extmode'] as const),
  ...[...guestOps.values()].filter(({ layoutStays }) => layoutStays).map(({ op }) => op),
]);

/** The model of one machine with one process. */
export class ModelMachine implements Machine {
  readonly #options: ModelMachineOptions;
  readonly #facts: MachineFacts;
  readonly #memory: Memory;
  readonly #process: GuestProcess;
  readonly #params: WritableParams;
  readonly #driver: ExtpinDriver;
  readonly #unit: IommuUnit;
  readonly #devices: GuestDevices;
  readonly #external: ExternalCalls;
  readonly #guest: Guest;
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
    const memmap = new MemMap(facts.memory, facts.memoryModel, 0, options.pageState);
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
    this.#unit = intelVtd(facts.awBits);
    this.#devices = new GuestDevices(facts.devices, this.#unit, this.#driver);
    const childFrames = options.childFrames ?? null;
    this.#external = new ExternalCalls(this.#memory, this.#process, this.#devices, childFrames);
    this.#guest = {
      ...{ memory: this.#memory, process: this.#process, devices: this.#devices },
      ...{ params: this.#params, childFrames },
      needContainer: () => this.#needContainer(),
    };
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
      const done = { ...this.#attempt(operation), ...this.#shownAtOpen(operation) };
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
    const armed = this.#arm(this.#fault);
    this.#fault = null;
    try {
      return this.#do(operation);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return { code: -error.errno, failure: failureOf(error.at, error.detail) };
    } finally {
      armed?.undo();
      this.#faultFired = armed?.fired ?? false;
    }
  }

  #arm(fault: StepFault | null): ArmedFault | null {
    if (!fault) return null;
    const { containers } = this.inspect();
    return armFault(fault, { memory: this.#memory, containers, unit: this.#unit });
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
        return this.#mmap(operation);
      case 'touch':
        return { code: this.#process.touch(operation) };
      case 'map':
      case 'unmap':
      case 'info':
        return this.#doIoctl(operation);
      case 'dirty':
        return this.#doDirty(operation);
      case 'fail':
        this.#fault = { what: operation.what, n: operation.n };
        return { code: 0 };
      default:
        return guestOp(operation).perform(this.#guest, operation);
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
        return { code: 0 };
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

  #mmap(operation: MmapOperation): Done {
    const { ret, region } = this.#process.mmap(operation, this.#devices);
    if (!region) return { code: ret };
    const { vpn, npage } = region;
    const place = { va: hex(BigInt(vpn) << 12n), size: hex(BigInt(npage) << 12n) };
    const { kind, dev = '', bar = 0 } = operation;
    const backing = kind === 'bar' ? this.#devices.barOf(dev, bar) : 0;
    const phys = typeof backing === 'number' ? {} : { bar_phys: hex(BigInt(backing.pfn) << 12n) };
    return { code: ret, ...place, ...phys };
  }

  #doDirty(operation: Extract<Operation, { op: 'dirty' }>): Done {
    const { flags, argsz, iova, size, pgsize, bmsize, bmmem } = operation;
    const range = { iova, size, bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
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
      const map = (task: Task): IoctlResult =>
        container.tryMapDma(task, { iova, vaddr, size, flags, argsz });
      const done = this.#process.by(
        operation.from ?? 'process',
        this.#options.childFrames ?? null,
        map,
      );
      return { code: done.ret, ...shown, va: hex(vaddr), ...failure(done) };
    }
    const { pgsize = 4096n, bmsize, bmmem } = operation;
    const bitmap = bmsize === undefined ? {} : { bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
    const done = container.tryUnmapDma({ iova, size, flags, argsz, ...bitmap });
    const wanted = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
    const dirty = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
    return { code: done.ret, ...shown, size_out: hex(done.size), ...dirty, ...failure(done) };
  }

  /** The state after a step; what did not change since it was last shown is left out. */
  #state(
    operation: Operation,
    counted: CounterValues,
  ): Omit<Observation, 'op' | 'ret' | 'errno' | 'pins'> {
    const { task } = this.#process;
    const avail = this.#container?.hasIommu ? this.#container.iommu.dmaAvail : undefined;
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

  /** What the program asks right after it has opened a container. */
  #shownAtOpen({ op }: Operation): Partial<Observation> {
    const container = this.#container;
    if (op !== 'open' || !container) return {};
    const numbers = Array.from({ length: 11 }, (_, i) => i + 1);
    const ext = Object.fromEntries(numbers.map((n) => [n, container.checkExtension(n)]));
    return { ext, ...(container.hasIommu ? asInfo(container.tryGetInfo(INFO_ARGSZ)) : {}) };
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

function guestOp({ op }: GuestOperation): GuestOp<GuestOperation> {
  const found = guestOps.get(op);
  if (!found) throw new ModelBug(`an operation without an op: ${op}`);
  return found;
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

function failure(done: { ret: number; at: string; detail: Readonly<Record<string, unknown>> }): {
  failure?: Failure;
} {
  return done.ret < 0 ? { failure: failureOf(done.at, done.detail) } : {};
}

function sameLayout(
  old: readonly LayoutExtent[] | undefined,
  now: readonly LayoutExtent[],
): boolean {
  if (old?.length !== now.length) return false;
  return old.every((extent, i) => extent.every((value, field) => value === now[i][field]));
}
