/**
 * The model as a machine: one process with a VFIO container, on a kernel release and a machine's
 * facts.
 */
import {
  errnoName,
  KernelBug,
  KernelError,
  KernelHang,
  ModelBug,
  type Tracer,
} from '@pinfold/base';
import type { IommuUnit } from '@pinfold/iommu';
import type { KernelVersion } from '@pinfold/kernels';
import {
  BuddyAllocator,
  MmStruct,
  Task,
  walkSmaps,
  type BuddyOptions,
  type FrameSource,
  type Memory,
  type PageStateArrays,
} from '@pinfold/mm';
import { failureOf, type Machine, type Observation } from '@pinfold/scenario';
import { VfioContainer, type Type1Rules } from '@pinfold/vfio-type1';
import { GuestIommufd } from '../iommufd/guest-iommufd.ts';
import { ExternalCalls } from '../vfio/external-calls.ts';
import { ExtpinDriver } from '../vfio/extpin-driver.ts';
import { GuestDevices } from '../vfio/guest-devices.ts';
import { GuestProcess } from '../process/guest-process.ts';
import type { Done, Guest } from './guest.ts';
import { DEFAULT_MACHINE, unitsOf, type MachineDescription } from './machine-description.ts';
import { lacksMemory } from './lacks-memory.ts';
import { machineMemory } from './machine-memory.ts';
import type { MachineView } from './machine-view.ts';
import type { GuestOp } from '../operations/guest-op.ts';
import { guestOps, type Operation } from '../operations/index.ts';
import { ShownState } from '../shown/shown-state.ts';
import { armFault, type ArmedFault, type StepFault } from './step-faults.ts';
import { syscallFailure } from '../explain/syscall-failure.ts';
import { VfioCalls } from '../vfio/vfio-calls.ts';

/** What a {@link ModelMachine} is made of. */
export interface ModelMachineOptions {
  /** The kernel. */
  readonly kernel: KernelVersion;
  /** Facts of the machine; default: those of the recordings' guest. */
  readonly facts?: Partial<MachineDescription>;
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

/** What stands for an errno where the kernel has died, and where it never returns. */
const [BUG, HANG] = ['BUG', 'HANG'];

/** The model of one machine with one process. */
export class ModelMachine implements Machine {
  readonly #options: ModelMachineOptions;
  readonly #facts: MachineDescription;
  readonly #memory: Memory;
  readonly #process: GuestProcess;
  readonly #driver: ExtpinDriver;
  readonly #units: ReadonlyMap<string, IommuUnit>;
  readonly #devices: GuestDevices;
  readonly #vfio: VfioCalls;
  readonly #guest: Guest;
  readonly #shown: ShownState;
  /** Where its frames come from, if nobody has prescribed that. */
  readonly #buddy: BuddyAllocator | null;
  /** What the counters were before a step, and then what they counted during it. */
  readonly #counted: Float64Array;
  #died: Observation | undefined;
  /** What fails in the next step. */
  #fault: StepFault | null = null;
  #faultFired = false;

  /**
   * @param options kernel, facts and frames
   * @throws {InputError} when the facts contradict each other
   */
  constructor(options: ModelMachineOptions) {
    const facts: MachineDescription = { ...DEFAULT_MACHINE, ...options.facts };
    this.#options = options;
    this.#facts = facts;
    const memory = (this.#memory = machineMemory(facts, options));
    this.#counted = new Float64Array(memory.counters.values.length);
    this.#buddy = memory.frames instanceof BuddyAllocator ? memory.frames : null;
    // The process is root until it drops its capability, unless the machine says otherwise.
    const task = new Task(new MmStruct(memory), facts.memlock, facts.privileged ?? true);
    task.capSysRawio = facts.privileged ?? true;
    const process = new GuestProcess(task, facts.remembersOneChild);
    this.#process = process;
    this.#driver = new ExtpinDriver();
    this.#units = unitsOf(facts.iommus);
    const devices = new GuestDevices(facts, this.#units, this.#driver, () => process.addressSpaces);
    this.#devices = devices;
    const { kernel, type1, childFrames = null } = options;
    const params = { ...facts.params };
    const iommufd = new GuestIommufd(memory, kernel);
    const vfio = new VfioCalls(
      { kernel, memory, params, ...(type1 && { type1 }) },
      process,
      devices,
      facts.container === 'iommufd' ? iommufd : null,
      facts.opensDevices,
    );
    this.#vfio = vfio;
    this.#guest = {
      ...{ memory, process, devices, iommufd, params, childFrames, vfio },
      hasType1: facts.container !== 'iommufd',
      external: new ExternalCalls(memory, process, devices, childFrames),
      closeAll: () => this.#closeAll(),
      failNext: (fault) => {
        this.#fault = fault;
      },
      needContainer: () => vfio.needContainer(),
    };
    this.#shown = new ShownState(this.#guest, this.#driver);
  }

  /** What is left to see when an operation has ended in a BUG of the kernel, or never returns. */
  get died(): Observation | undefined {
    return this.#died;
  }

  /** Whether the fault that the last step had to meet has happened. */
  get faultFired(): boolean {
    return this.#faultFired;
  }

  perform(operation: Operation): Promise<Observation> {
    const { counters, vmstat } = this.#memory;
    const counted = this.#counted;
    counted.set(counters.values);
    const { nrFollPinAcquired, nrFollPinReleased } = vmstat;
    const show = ({ code, ...shown }: Done): Observation => {
      for (let slot = 0; slot < counted.length; slot++) {
        counted[slot] = counters.values[slot] - counted[slot];
      }
      const pins = {
        acquired: vmstat.nrFollPinAcquired - nrFollPinAcquired,
        released: vmstat.nrFollPinReleased - nrFollPinReleased,
      };
      return {
        op: operation.op,
        ret: code < 0 ? -1 : code,
        errno: code < 0 ? errnoName(code) : null,
        ...shown,
        ...this.#shown.after(operation, this.#vfio.container, counted),
        pins,
      };
    };
    try {
      const attempted = this.#attempt(operation);
      this.#checkMemory(operation, attempted.code);
      const done = {
        ...this.#explained(operation, attempted),
        ...opOf(operation).shown?.(this.#guest, attempted.code),
      };
      if (this.#options.readsSmaps) walkSmaps(this.#process.task.mm);
      return Promise.resolve(show(done));
    } catch (error) {
      if (error instanceof KernelBug) {
        const hangs = error instanceof KernelHang;
        const failure = failureOf(error.at, { [hangs ? 'hang' : 'bug']: error.message });
        this.#died = { ...show({ code: 0, failure }), ret: -1, errno: hangs ? HANG : BUG };
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
    this.#guest.iommufd.closeAccess();
    this.#process.exit();
    this.#devices.exit();
    return this.#memory.vmstat.pinsHeld;
  }

  /**
   * Shows what an audit looks at; nothing of it may be changed.
   *
   * @returns memory, files and containers as they are now
   */
  inspect(): MachineView {
    const joined = this.#devices.containers;
    const { container } = this.#vfio;
    const idle =
      container instanceof VfioContainer && !joined.includes(container) ? container : null;
    return {
      ranges: this.#facts.memory,
      fragmented: (this.#options.buddy?.fragmentation ?? 0) > 0,
      memory: this.#memory,
      files: this.#process.files,
      containers: [
        ...joined.filter((one) => one instanceof VfioContainer),
        ...(idle ? [idle] : []),
      ],
    };
  }

  /** What a VFIO call throws is what the kernel returns. */
  #attempt(operation: Operation): Done {
    const armed = this.#arm(this.#fault);
    this.#fault = null;
    try {
      return opOf(operation).perform(this.#guest, operation);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return { code: -error.errno, failure: failureOf(error.at, error.detail) };
    } finally {
      armed?.undo();
      this.#faultFired = armed?.fired ?? false;
    }
  }

  /** What failed, with the check that refused it where the call itself does not say. */
  #explained(operation: Operation, done: Done): Done {
    if (done.code >= 0 || done.failure) return done;
    const failure = syscallFailure(this.#guest, operation, errnoName(done.code));
    return failure ? { ...done, failure } : done;
  }

  /**
   * A step that uses up memory of which nobody has said how much there is: that the machine is too
   * small is no answer of a kernel.
   */
  #checkMemory(operation: Operation, code: number): void {
    const isAssumed = this.#facts.memoryIsAssumed ?? this.#options.facts?.memory === undefined;
    if (!isAssumed || !this.#buddy) return;
    const pages = this.#facts.memory.reduce((sum, { npage }) => sum + npage, 0);
    const wanted = lacksMemory(operation, code, this.#buddy, pages);
    if (wanted) throw wanted;
  }

  #arm(fault: StepFault | null): ArmedFault | null {
    if (!fault) return null;
    const { containers } = this.inspect();
    return armFault(fault, { memory: this.#memory, containers, units: [...this.#units.values()] });
  }

  #closeAll(): void {
    this.#guest.iommufd.closeAll();
    this.#vfio.closeAll();
    this.#shown.forgetTable();
  }
}

function opOf({ op }: Operation): GuestOp<Operation> {
  const found = guestOps.get(op);
  if (!found) throw new ModelBug(`an operation without an op: ${op}`);
  return found;
}
