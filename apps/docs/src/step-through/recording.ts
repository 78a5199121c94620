/**
 * Recordings: the steps of a mapping's life under one algorithm. However many there are, only some
 * thousand rows exist at once: a window of all steps, and a sample of them from begin to end. For
 * another window the machine is made again and does the same once more.
 */
import { ModelBug, PAGE_SIZE } from '@pinfold/base';
import { backing, layouts, MemDmaMap } from '@pinfold/bench';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import { BesideSearch, type Target } from './beside.ts';
import type { MemoryShape } from './memory-shape.ts';
import { shapeOf } from './read-shape.ts';
import { Recorder, type StepObserver } from './recorder.ts';
import { KERNELS_OWN, type Settings } from './settings.ts';
import { Sampler, WindowLog } from './step-logs.ts';
import { Col, FUNCTIONS, IOCTL, isCall, type StepLog } from './steps.ts';

/** Steps between two reports of progress. */
const REPORT_EVERY = 2 ** 20;

/** What is known of all steps. */
export interface Overview {
  /** The memory. */
  readonly shape: MemoryShape;
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** Number of steps. */
  readonly steps: number;
  /** Number of the first step of the unmap. */
  readonly firstUnmapStep: number;
  /** Of each function of {@link FUNCTIONS}: in how many steps it is called. */
  readonly calls: Float64Array;
  /** A sample of the steps from the first to the last. */
  readonly samples: StepLog;
  /** All steps of the window that was asked for. */
  readonly window: StepLog;
}

/** Ends a run when everything wanted has been seen. */
class Enough extends Error {}

/** Called with the number of steps made so far. */
export type OnProgress = (steps: number) => void;

/** The steps of a mapping under one algorithm, made again whenever something is asked. */
export class Recording {
  readonly #settings: Settings;
  readonly #algorithm: PinAlgorithm;

  /**
   * @param settings memory and kernel
   * @param algorithm name of the pin algorithm, or {@link KERNELS_OWN}
   */
  constructor(settings: Settings, algorithm: string) {
    this.#settings = settings;
    const own = kernelVersion(settings.kernel).type1.pinAlgorithm;
    this.#algorithm = algorithm === KERNELS_OWN ? own : pinAlgorithm(algorithm);
  }

  /**
   * Goes through all steps once.
   *
   * @param from number of the first step of the window that is sent with it
   * @param length how many steps that has at most
   * @param onProgress called now and then
   * @returns what is known of all of them
   */
  overview(from = 0, length = 1, onProgress: OnProgress = () => undefined): Overview {
    const samples = new Sampler();
    const window = new WindowLog(from, length);
    const calls = new Float64Array(FUNCTIONS.length);
    let steps = 0;
    let firstUnmapStep = 0;
    let shape: MemoryShape | null = null;
    const observer: StepObserver = {
      wantsCounters: (index) => samples.wants(index) || window.wants(index),
      done: (index, row) => {
        steps = index + 1;
        if (steps % REPORT_EVERY === 0) onProgress(steps);
        if (isCall(row)) calls[row[Col.fn]]++;
        else if (row[Col.fn] === IOCTL && row[Col.phase] === 1 && firstUnmapStep === 0)
          firstUnmapStep = index;
        if (samples.wants(index)) samples.add(index, row);
        if (window.wants(index)) window.add(index, row);
      },
    };
    const machine = this.#run(observer, (made) => (shape = shapeOf(made)));
    if (shape === null) throw new ModelBug(`${machine.npage} pages were never mapped`);
    return {
      ...{ shape, algorithm: this.#algorithm.name, steps, firstUnmapStep, calls },
      ...{ samples: samples.log(), window: window.log() },
    };
  }

  /**
   * All steps from one on.
   *
   * @param from number of the first
   * @param length how many at most
   * @returns their rows
   */
  window(from: number, length: number): StepLog {
    const window = new WindowLog(from, length);
    this.#runUntilEnough({
      wantsCounters: (index) => window.wants(index),
      done: (index, row) => {
        if (index >= from + length) throw new Enough();
        if (window.wants(index)) window.add(index, row);
      },
    });
    return window.log();
  }

  /**
   * The next or the previous step that calls a function.
   *
   * @param fn index of the function in {@link FUNCTIONS}
   * @param from number of a step
   * @param forward whether to look after it, or before it
   * @returns number of the step; -1 if there is none
   */
  find(fn: number, from: number, forward: boolean): number {
    let found = -1;
    this.#runUntilEnough({
      wantsCounters: () => false,
      done: (index, row) => {
        if (!forward && index >= from) throw new Enough();
        if (row[Col.fn] !== fn || !isCall(row) || (forward && index <= from)) return;
        found = index;
        if (forward) throw new Enough();
      },
    });
    return found;
  }

  /**
   * The step at which another algorithm would stand: {@link BesideSearch}.
   *
   * @param target the step of the other algorithm, as far as it matters
   * @returns number of the step
   */
  locate(target: Target): number {
    const search = new BesideSearch(target, this.#settings.bytes / PAGE_SIZE);
    this.#runUntilEnough({
      wantsCounters: () => false,
      done: (index, row) => {
        if (search.see(index, row)) throw new Enough();
      },
    });
    return search.found;
  }

  #runUntilEnough(observer: StepObserver): void {
    try {
      this.#run(observer);
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
  }

  #run(
    observer: StepObserver,
    onMapped: (machine: MemDmaMap) => void = () => undefined,
  ): MemDmaMap {
    const { backing: name, layout, bytes, kernel } = this.#settings;
    const recorder = new Recorder(observer);
    const machine = new MemDmaMap({
      kernel: kernelVersion(kernel),
      pinAlgorithm: recorder.watch(this.#algorithm),
      backing: backing(name),
      layout: layouts[layout],
      bytes,
    });
    recorder.record(machine, () => onMapped(machine));
    machine.checkReleased();
    return machine;
  }
}
