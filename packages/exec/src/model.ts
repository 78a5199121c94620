/**
 * The model that a program runs on: every call becomes an operation of the scenario language, is done,
 * and is kept, so that the whole run can be written as a scenario and explained as one.
 */
import { byteAddress, InputError, KernelBug, type CounterValues } from '@pinfold/base';
import {
  DEFAULT_MACHINE,
  factsOfLine,
  iommusOf,
  ModelMachine,
  operationText,
  parseScenario,
  type Done,
  type MachineDescription,
  type Operation,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { VfioDma } from '@pinfold/vfio-type1';
import { machineLineText, type MachineLine } from '@pinfold/scenario';

/** An operation that was done. */
export interface DoneOperation {
  /** The operation. */
  readonly operation: Operation;
  /** 0 or a negative errno. */
  readonly code: number;
}

/** A mapping that was never unmapped. */
export interface LeftMapping {
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Operation that closed the last file that held it. */
  readonly closedBy: string;
}

/** A map that shall fail. */
export interface MapFailure {
  /** What fails in it: a frame that is asked for, GUP, or the IOMMU driver. */
  readonly what: 'frame' | 'gup' | 'map';
  /** Which VFIO_IOMMU_MAP_DMA of the program, from 1. */
  readonly map: number;
}

/** Operations with which mappings can go. */
const CLOSES: ReadonlySet<string> = new Set(['closecontainer', 'closegroup', 'closedev', 'unset']);
const NO_REGIONS: Parameters<typeof operationText>[1] = new Map();
const EIO = 5;
/** Memory of a machine that nobody has described. */
const AMPLE = 'machine memory=64G';

/** One machine of the model, call by call. */
export class ExecModel {
  /** What was done, in order. */
  readonly done: DoneOperation[] = [];
  /** Mappings that nobody unmapped before their container or the last group in it was closed. */
  readonly leftMapped: LeftMapping[] = [];
  /** The machine. */
  readonly description: MachineDescription;
  /** Why nothing more can be done: the kernel has died, or the model cannot do what was asked. */
  fatal: string | null = null;
  readonly #machine: ModelMachine;
  readonly #line: MachineLine;
  readonly #kernel: string;
  #container = '';
  #maps = 0;
  /** Maps that shall fail. */
  failures: readonly MapFailure[] = [];
  /** Whether the counters of each call are wanted. */
  counts = false;
  /** What the last operation counted; null unless {@link counts}. */
  counted: CounterValues | null = null;

  /**
   * @param kernel name of the release
   * @param line the machine, as a `machine` line of a scenario has it
   * @throws {InputError} for a kernel that is not modelled
   */
  constructor(kernel: string, line: MachineLine) {
    this.#kernel = kernel;
    this.#line = line;
    const facts = factsOfLine(line, DEFAULT_MACHINE);
    this.description = { ...DEFAULT_MACHINE, ...facts };
    this.#machine = new ModelMachine({ kernel: kernelVersion(kernel), facts });
  }

  /**
   * Does an operation.
   *
   * @param operation the operation
   * @returns what it returned
   */
  perform(operation: Operation): Done {
    if (this.fatal !== null) return { code: -EIO };
    if (operation.op === 'map') this.#armFailure();
    const { counters } = this.#machine.inspect().memory;
    const before = this.counts ? counters.snapshot() : null;
    try {
      const done = CLOSES.has(operation.op)
        ? this.#closing(operation)
        : this.#machine.apply(operation);
      this.done.push({ operation, code: done.code });
      return done;
    } catch (error) {
      if (!(error instanceof KernelBug || error instanceof InputError)) throw error;
      this.fatal = error.message;
      this.done.push({ operation, code: -EIO });
      return { code: -EIO };
    } finally {
      this.counted = before && counters.since(before);
    }
  }

  /** Lets something fail in the map that comes next, if that was asked for. */
  #armFailure(): void {
    this.#maps += 1;
    const failure = this.failures.find(({ map }) => map === this.#maps);
    if (failure) this.perform({ op: 'fail', what: failure.what, n: 1 });
  }

  /**
   * Lets the calls that follow be made on a container.
   *
   * @param name its name
   */
  useContainer(name: string): void {
    if (name === this.#container) return;
    this.perform({ op: 'container', name });
    this.#container = name;
  }

  /**
   * Opens a container, on which calls are made then.
   *
   * @param name its name
   */
  openContainer(name: string): void {
    this.perform({ op: 'opencontainer', name });
    this.#container = name;
  }

  /** Notes that the container on which calls were made is closed. */
  forgetContainer(): void {
    this.#container = '';
  }

  /** The mappings of all containers. */
  #mappings(): ReadonlySet<VfioDma> {
    const found = new Set<VfioDma>();
    for (const { dmaList } of iommusOf(this.#machine.inspect())) {
      for (const dma of dmaList) found.add(dma);
    }
    return found;
  }

  /** Does something that closes a file, and notes the mappings that go with it. */
  #closing(operation: Operation): Done {
    const before = [...this.#mappings()].map((dma) => ({ dma, npage: dma.npage }));
    const done = this.#machine.apply(operation);
    const after = this.#mappings();
    for (const { dma, npage } of before) {
      if (after.has(dma)) continue;
      this.leftMapped.push({
        iova: byteAddress(dma.iovaPn),
        size: byteAddress(npage),
        closedBy: operation.op,
      });
    }
    return done;
  }

  /**
   * The run as a scenario.
   *
   * @returns its text: the machine, and a line for each operation
   */
  scenario(): string {
    const machine = machineLineText(this.#line);
    const lines = this.done.map(({ operation }) => operationText(operation, NO_REGIONS));
    return [
      `# written by pinfold exec; run it with: pinfold run --kernel ${this.#kernel} FILE`,
      ...(machine === '' ? [] : [machine]),
      ...lines,
      '',
    ].join('\n');
  }
}

/**
 * Reads the words of a `machine` line. Without a word on memory there is as much of it as few programs
 * have, since what a program maps for DMA is there.
 *
 * @param words such as `iommu=amd aw=39`
 * @returns the line
 * @throws {InputError} for a word that it does not have
 */
export function machineOfWords(words: string): MachineLine {
  const line = parseScenario([`machine ${words}`], '--machine').machine;
  return line.memory ? line : { ...line, ...parseScenario([AMPLE], '--machine').machine };
}
