/**
 * One algorithm as the page sees it: its steps, a few windows of them here, while the worker has
 * the rest.
 */
import { besideIn, type Target } from './beside.ts';
import type { Answer, Question, Questions } from './protocol.ts';
import type { Overview } from './recording.ts';
import type { Settings } from './settings.ts';
import { Col, isCall, placeOf, stepOf, WINDOW, type Step, type StepLog } from './steps.ts';

/** Windows that are kept: those that were used last. */
const KEPT_WINDOWS = 4;

interface Waiting {
  readonly resolve: (answer: Questions[Question]['answer']) => void;
  readonly reject: (error: Error) => void;
}

/** Steps of one algorithm on the chosen memory. */
export class Side {
  /** What is known about all steps; null until all were made. */
  overview: Overview | null = null;
  readonly #worker: Worker;
  readonly #onProgress: (steps: number) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #windows = new Map<number, StepLog>();
  readonly #loading = new Map<number, Promise<void>>();
  #asked = 0;

  /**
   * @param worker a worker that runs `worker.ts`
   * @param onProgress called while the steps are made, with the number made
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
   * @param index number of the step that will be looked at first
   */
  async open(settings: Settings, algorithm: string, index: number): Promise<void> {
    const window = Math.floor(index / WINDOW);
    const asked = { settings, algorithm, from: window * WINDOW, length: WINDOW };
    this.overview = await this.#ask('overview', asked);
    if (this.overview.window.indices.length > 0) this.#windows.set(window, this.overview.window);
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
   * Whether a step and those around it are here.
   *
   * @param index its number
   * @returns false if it has to be {@link load}ed
   */
  isHere(index: number): boolean {
    return this.#windows.has(Math.floor(index / WINDOW));
  }

  /**
   * The last step, at or before a number, that is certainly here.
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
   * @param forward whether to look after it, or before it
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
   * The step at which another algorithm would stand: {@link BesideSearch}.
   *
   * @param target the step of the other algorithm, as far as it matters
   * @returns number of the step
   */
  async locate(target: Target): Promise<number> {
    return this.locateHere(target) ?? this.#ask('locate', { target });
  }

  /**
   * {@link locate}, if what is here tells.
   *
   * @param target the step of the other algorithm, as far as it matters
   * @returns number of the step; null if the worker has to be asked
   */
  locateHere(target: Target): number | null {
    const npage = this.overview?.shape.npage ?? 0;
    for (const log of this.#windows.values()) {
      const found = besideIn(log, target, npage, this.lastStep);
      if (found !== null) return found;
    }
    return null;
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
