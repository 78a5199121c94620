/**
 * The calls that emulated devices make, and the bytes that a process reads and writes.
 *
 * @source README-extpin, "Operations", "Fields of a step"
 */
import { Errno, errnoName, InputError, KernelError, type Page } from '@pinfold/base';
import { readUser, writeUser, type FrameSource, type Memory, type Task } from '@pinfold/mm';
import { failureOf, type Failure, hex, type Observation, type PfnRun } from '@pinfold/scenario';
import { NO_PAGE, VfioContainer } from '@pinfold/vfio-type1';
import type { Caller } from '../operations/external/arguments.ts';
import type { DmarwOperation } from '../operations/external/dmarw.ts';
import type { PinOperation } from '../operations/external/pin.ts';
import type { PinlistOperation } from '../operations/external/pinlist.ts';
import type { UnpinOperation } from '../operations/external/unpin.ts';
import type { UnpinlistOperation } from '../operations/external/unpinlist.ts';
import type { PeekOperation } from '../operations/memory/peek.ts';
import type { PokeOperation } from '../operations/memory/poke.ts';
import { MAX_PAGES, type ExtpinDevice } from './extpin-driver.ts';
import type { GuestDevices } from './guest-devices.ts';
import type { GuestProcess } from '../process/guest-process.ts';
import { describeBytes } from '../process/user-bytes.ts';

/** What the buffer of a read holds before it. */
const UNREAD = 0xee;
/** Bytes that one step reads or writes at most. */
const MAX_BYTES = 2 ** 26;
/** Pages that one step asks for at most, over all its calls. */
const MAX_PINS = 2 ** 20;

/** What a call returned and showed. */
export interface CallDone extends Partial<Observation> {
  /** 0 or more, or a negative errno. */
  readonly code: number;
}

/** Makes the calls of a machine's emulated devices. */
export class ExternalCalls {
  readonly #memory: Memory;
  readonly #process: GuestProcess;
  readonly #devices: GuestDevices;
  readonly #childFrames: FrameSource | null;

  /**
   * @param memory the machine's memory
   * @param process the process
   * @param devices the devices
   * @param childFrames where the frames of children come from
   */
  constructor(
    memory: Memory,
    process: GuestProcess,
    devices: GuestDevices,
    childFrames: FrameSource | null,
  ) {
    this.#memory = memory;
    this.#process = process;
    this.#devices = devices;
    this.#childFrames = childFrames;
  }

  /**
   * vfio_pin_pages.
   *
   * @param operation the operation
   * @returns pages pinned or a negative errno, and the page array
   */
  pin(operation: PinOperation): CallDone {
    const { dev, iova, n, prot, times, from, forget } = operation;
    checkTimes(operation);
    const { ext } = this.#devices.emulated(dev);
    const shown = { dev, iova: hex(iova), npage: n, prot, ...(times === 1 ? {} : { times }) };
    let code = 0;
    let pages: Page[] = [];
    this.#by(from, () => {
      for (let i = 0; i < times; i++) {
        // A call for more pages than one may take looks at none of them.
        pages = new Array<Page>(n > 0 && n <= MAX_PAGES ? n : 0).fill(NO_PAGE);
        const array = operation.null ? null : pages;
        const container = this.#containerOf(dev);
        code = container
          ? ext.pin(container, iova, n, prot, array, forget)
          : this.#notOpen('vfio_pin_pages');
      }
    });
    const pfns = n > MAX_PAGES ? [[0, null, n] as const] : this.#runsOf(pages);
    const failure = code < 0 ? this.#failureOf(dev, 'vfio_pin_pages') : {};
    return { code, ...shown, ...(operation.null ? {} : { pfns }), ...failure };
  }

  /**
   * vfio_unpin_pages, which returns nothing.
   *
   * @param operation the operation
   * @returns 0
   */
  unpin(operation: UnpinOperation): CallDone {
    const { dev, iova, n, times, from, forget } = operation;
    checkTimes(operation);
    const { ext } = this.#devices.emulated(dev);
    this.#by(from, () => {
      for (let i = 0; i < times; i++) this.#unpin(dev, ext, iova, n, forget);
    });
    return { code: 0, dev, iova: hex(iova), npage: n, ...(times === 1 ? {} : { times }) };
  }

  /**
   * A call for each address of a list; all are made.
   *
   * @param operation the operation
   * @returns their number or the first error, and their results
   */
  list(operation: PinlistOperation | UnpinlistOperation): CallDone {
    const { dev, iovas } = operation;
    const { ext } = this.#devices.emulated(dev);
    const shown = { dev, iovas: iovas.map(hex) };
    if (operation.op === 'unpinlist') {
      for (const iova of iovas) this.#unpin(dev, ext, iova, 1, false);
      return { code: 0, ...shown };
    }
    const pages: Page[] = [];
    const codes = iovas.map((iova) => {
      const page = [NO_PAGE];
      const container = this.#containerOf(dev);
      const code = container
        ? ext.pin(container, iova, 1, operation.prot, page)
        : this.#notOpen('vfio_pin_pages');
      pages.push(page[0]);
      return code;
    });
    const rets = codes.map((code) => (code < 0 ? errnoName(code) : code));
    const code = codes.find((found) => found < 0) ?? iovas.length;
    const failure = code < 0 ? this.#failureOf(dev, 'vfio_pin_pages') : {};
    return { code, ...shown, rets, pfns: this.#runsOf(pages), ...failure };
  }

  /**
   * vfio_dma_rw.
   *
   * @param operation the operation
   * @returns 0 or a negative errno, and what was read
   */
  dmaRw(operation: DmarwOperation): CallDone {
    const { dev, iova, len, write, byte, from } = operation;
    const { ext } = this.#devices.emulated(dev);
    checkBytes('dmarw', len);
    const buffer = new Uint8Array(len).fill(write ? byte : UNREAD);
    const container = this.#containerOf(dev);
    const code = this.#by(from, (current) =>
      container
        ? ext.dmaRw(container, current, iova, operation.null ? null : buffer, write, len)
        : this.#notOpen('vfio_dma_rw'),
    );
    const data = write || operation.null ? {} : { data: describeBytes(buffer) };
    const failure = code < 0 ? this.#failureOf(dev, 'vfio_dma_rw') : {};
    return { code, dev, iova: hex(iova), len, write: write ? 1 : 0, ...data, ...failure };
  }

  /**
   * The process writes or reads its memory.
   *
   * @param operation the operation
   * @returns 0, or -EFAULT; and what was read
   */
  bytes(operation: PokeOperation | PeekOperation): CallDone {
    const { va, size } = operation;
    checkBytes(operation.op, size);
    const { mm } = this.#process.task;
    const buffer = new Uint8Array(Number(size));
    if (operation.op === 'poke') {
      const left = writeUser(mm, va, buffer.fill(operation.byte));
      return { code: left > 0 ? -Errno.EFAULT : 0 };
    }
    const left = readUser(mm, va, buffer);
    return left > 0 ? { code: -Errno.EFAULT } : { code: 0, data: describeBytes(buffer) };
  }

  #unpin(dev: string, ext: ExtpinDevice, iova: bigint, n: number, forget: boolean): void {
    const container = this.#containerOf(dev);
    if (container) ext.unpin(container, iova, n, forget);
    else this.#notOpen('vfio_unpin_pages');
  }

  /** Why a call of a device has failed: for a device that is not open, nothing else is looked at. */
  #failureOf(dev: string, at: string): { failure?: Failure } {
    const { open } = this.#devices.get(dev);
    const container = this.#containerOf(dev);
    if (!open || !container) return { failure: failureOf(at, { openDevice: false }) };
    try {
      const { failure } = container.iommu;
      return failure ? { failure: failureOf(failure.at, failure.detail) } : {};
    } catch (error) {
      if (error instanceof KernelError) return {};
      throw error;
    }
  }

  /** The container of a device's group. */
  #containerOf(dev: string): VfioContainer | null {
    const { container } = this.#devices.get(dev);
    return container instanceof VfioContainer ? container : null;
  }

  /** A call of a device that is not open, its group in no container (vfio_assert_device_open). */
  #notOpen(fn: 'vfio_pin_pages' | 'vfio_unpin_pages' | 'vfio_dma_rw'): number {
    this.#memory.warnOnce(fn, 'the device is not open');
    if (fn !== 'vfio_dma_rw') this.#memory.warnOn(fn, 'the device is not open');
    return -Errno.EINVAL;
  }

  /** Makes a call as the process, as a kernel thread (no task), or in a child that then ends. */
  #by<Value>(from: Caller, call: (current: Task | null) => Value): Value {
    if (from === 'kthread') return call(null);
    return this.#process.by(from, this.#childFrames, call);
  }

  #runsOf(pages: readonly Page[]): PfnRun[] {
    const { memmap } = this.#memory;
    const runs: [number, number | null, number][] = [];
    pages.forEach((page, index) => {
      const pfn = page === NO_PAGE ? null : memmap.pageToPfn(page);
      const last = runs.at(-1);
      const next = last && (last[1] === null ? null : last[1] + last[2]);
      if (last && next === pfn) last[2]++;
      else runs.push([index, pfn, 1]);
    });
    return runs;
  }
}

/** Refuses a step of more calls than a model makes in a few seconds. */
function checkTimes({
  op,
  n,
  times,
}: Pick<PinOperation | UnpinOperation, 'op' | 'n' | 'times'>): void {
  const calls = Math.max(1, Math.min(n, MAX_PAGES)) * times;
  if (calls <= MAX_PINS) return;
  throw new InputError(`${op} times=`, `at most ${MAX_PINS} pages in one step`, `${calls}`);
}

/** Refuses a step that reads or writes more bytes than a model does in a second. */
function checkBytes(op: string, bytes: number | bigint): void {
  if (bytes <= MAX_BYTES) return;
  throw new InputError(op, `at most ${MAX_BYTES} bytes in one step`, `${bytes}`);
}
