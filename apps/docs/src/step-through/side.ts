/**
 * One algorithm as the page sees it: its steps, of which a few windows are here and the worker has
 * the rest.
 */
import type { Answer, Question, Questions } from './protocol.ts';
import type { Overview } from './recording.ts';
import type { Settings } from './settings.ts';
import {
  Col,
  isCall,
  placeOf,
  progressOf,
  ROW,
  stepOf,
  WINDOW,
  type Step,
  type StepLog,
} from './steps.ts';

/** Windows that are kept: those that were used last. */
const KEPT_WINDOWS = 4;

interface Waiting {
  readonly resolve: (answer: Questions[Question]['answer']) => void;
  readonly reject: (error: Error) => void;
}

/** Steps of one algorithm on the chosen memory. */
export class Side {
  /** What is known of all steps; null until they were gone through. */
  overview: Overview | null = null;
  readonly #worker: Worker;
  readonly #onProgress: (steps: number) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #windows = new Map<number, StepLog>();
  readonly #loading = new Map<number, Promise<void>>();
  #asked = 0;

  /**
   * @param worker a worker that runs `worker.ts`
   * @param onProgress called while the steps are gone through, with how many there were
   */
  constructor(worker: Worker, onProgress: (steps: number) => void) {
    this.#worker = worker;
    this.#onProgress = onProgress;
    worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => this.#receive(data));
    worker.addEventListener('error', (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message));
    });
  }

  /**
   * Goes through all steps.
   *
   * @param settings memory and kernel
   * @param algorithm name of the algorithm
   * @returns what is known of all steps
   */
  async open(settings: Settings, algorithm: string): Promise<Overview> {
    this.overview = await this.#ask('overview', { settings, algorithm });
    return this.overview;
  }

  /** Ends the worker; what was asked is not answered any more. */
  close(): void {
    this.#worker.terminate();
  }

  /** Number of the last step. */
  get lastStep(): number {
    return (this.overview?.steps ?? 1) - 1;
  }

  /**
   * A step, if it is here.
   *
   * @param index its number
   * @returns the step; null if it has to be {@link load}ed
   */
  step(index: number): Step | null {
    const log = this.#windows.get(Math.floor(index / WINDOW)) ?? this.overview?.samples;
    if (!log) return null;
    const place = placeOf(log, index);
    return place >= 0 && log.indices[place] === index ? stepOf(log, place) : null;
  }

  /**
   * The last step that is certainly here and not behind a number.
   *
   * @param index the number
   * @returns a step of the sample
   */
  nearest(index: number): Step | null {
    const samples = this.overview?.samples;
    return samples ? stepOf(samples, Math.max(0, placeOf(samples, index))) : null;
  }

  /**
   * Gets a step here, and those around it.
   *
   * @param index its number
   */
  async load(index: number): Promise<void> {
    const window = Math.floor(index / WINDOW);
    await this.#loadWindow(window);
    // The neighbour is fetched ahead, so that stepping never waits.
    const inside = index - window * WINDOW;
    const next = inside > WINDOW * 0.75 ? window + 1 : inside < WINDOW / 4 ? window - 1 : window;
    if (next >= 0 && next * WINDOW <= this.lastStep) void this.#loadWindow(next);
  }

  /**
   * The next or previous step that calls a function.
   *
   * @param fn index of the function
   * @param from number of a step
   * @param forward whether to look behind it, or before it
   * @returns number of the step; -1 if there is none
   */
  async find(fn: number, from: number, forward: boolean): Promise<number> {
    const by = forward ? 1 : -1;
    for (let index = from + by; index >= 0 && index <= this.lastStep; index += by) {
      const step = this.step(index);
      if (!step) return this.#ask('find', { fn, from: index - by, forward });
      if (step.at(Col.fn) === fn && isCall(step.row)) return index;
    }
    return -1;
  }

  /**
   * The last step that has come no further than another algorithm.
   *
   * @param progress how far that one has come: {@link progressOf}
   * @returns number of the step
   */
  async locate(progress: number): Promise<number> {
    return this.locateHere(progress) ?? this.#ask('locate', { progress });
  }

  /**
   * {@link locate}, if what is here tells.
   *
   * @param progress how far the other one has come
   * @returns number of the step; null if the worker has to be asked
   */
  locateHere(progress: number): number | null {
    for (const log of this.#windows.values()) {
      const place = this.#placeIn(log, progress);
      if (place >= 0) return log.indices[place];
    }
    return null;
  }

  /** Place in a log of the last step that has come no further; -1 if the log does not tell. */
  #placeIn({ indices, rows }: StepLog, progress: number): number {
    const npage = this.overview?.shape.npage ?? 0;
    const at = (i: number): number => progressOf(rows.subarray(i * ROW, (i + 1) * ROW), npage);
    const last = indices.length - 1;
    if (at(0) > progress) return -1;
    if (at(last) <= progress) return indices[last] === this.lastStep ? last : -1;
    let low = 0;
    let high = last;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (at(middle) <= progress) low = middle;
      else high = middle;
    }
    return low;
  }

  #loadWindow(window: number): Promise<void> {
    const kept = this.#windows.get(window);
    if (kept) {
      this.#windows.delete(window);
      this.#windows.set(window, kept);
      return Promise.resolve();
    }
    const under = this.#loading.get(window);
    if (under) return under;
    const loading = this.#fetchWindow(window);
    this.#loading.set(window, loading);
    return loading;
  }

  async #fetchWindow(window: number): Promise<void> {
    const log = await this.#ask('window', { from: window * WINDOW, length: WINDOW });
    this.#loading.delete(window);
    this.#windows.set(window, log);
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= KEPT_WINDOWS) break;
      this.#windows.delete(oldest);
    }
  }

  #ask<Q extends Question>(question: Q, ask: Questions[Q]['ask']): Promise<Questions[Q]['answer']> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, question, ...ask });
    });
  }

  #receive(data: Answer): void {
    if ('steps' in data) {
      this.#onProgress(data.steps);
      return;
    }
    const waiting = this.#waiting.get(data.id);
    this.#waiting.delete(data.id);
    if ('error' in data) waiting?.reject(new Error(data.error));
    else waiting?.resolve(data.answer);
  }
}
