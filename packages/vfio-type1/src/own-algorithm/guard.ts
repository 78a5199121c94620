/**
 * What stands between an algorithm of one's own and the model: arguments are checked, calls are
 * bounded, and a watchdog in another thread can see whether the algorithm still calls.
 *
 * @source reference type1.md §5 and §6 (the steps of an algorithm)
 */
import { Misuse, shown } from './algorithm-fault.ts';

/** A step of an algorithm. */
export type StepName = 'pinChunk' | 'unpinRegion' | 'nextUnmapRun' | 'pinExternal' | 'forget';

/** The steps of an algorithm. */
export const STEPS: readonly StepName[] = [
  'pinChunk',
  'unpinRegion',
  'nextUnmapRun',
  'pinExternal',
  'forget',
];

/** Index in a heartbeat: changes with every step and every call of the kernel. */
const BEATS = 0;
/** Index in a heartbeat: the step whose code runs, counted from 1; else 0. */
const RUNNING = 1;

/** Calls that a step may make: some per page, and some anyway. */
const CALLS_PER_PAGE = 64;
const CALLS_ANYWAY = 4096;

/** Largest page number and number of pages that means anything. */
export const MAX_PAGES: number = 2 ** 52;
/** No frame, and no `struct page`, has a larger number. */
const MAX_FRAME = 2 ** 45;

/** The checks of one container's calls. */
export class Guard {
  /** The step that runs; null between steps. */
  step: StepName | null = null;
  readonly #heartbeat: Int32Array;
  #running = 0;
  #bound = 0;
  #left = 0;

  /** @param heartbeat two numbers that another thread may read: {@link BEATS}, {@link RUNNING} */
  constructor(heartbeat: Int32Array) {
    this.#heartbeat = heartbeat;
  }

  /**
   * A step begins.
   *
   * @param step which
   * @param npage pages that it is about
   */
  begin(step: StepName, npage: number): void {
    this.step = step;
    this.#bound = this.#left = CALLS_PER_PAGE * npage + CALLS_ANYWAY;
    this.#heartbeat[BEATS]++;
    this.#running = STEPS.indexOf(step) + 1;
    this.#heartbeat[RUNNING] = this.#running;
  }

  /** A step has ended, or has thrown. */
  end(): void {
    this.step = null;
    this.#left = 0;
    this.#heartbeat[RUNNING] = 0;
  }

  /**
   * The algorithm calls the kernel. Once it has called too often, no call beats any more.
   *
   * @throws {Misuse} when it calls too often, or between steps
   */
  call(): void {
    if (this.#left <= 0) {
      throw new Misuse(
        this.step === null
          ? 'the kernel is called outside a step'
          : `${this.step} does not end: it has called the kernel ${this.#bound} times`,
      );
    }
    this.#left--;
    this.#heartbeat[BEATS]++;
  }

  /** A call that may take long begins, or ends: the silence is not the algorithm's. */
  set inKernel(inside: boolean) {
    this.#heartbeat[BEATS]++;
    this.#heartbeat[RUNNING] = inside ? 0 : this.#running;
  }

  /**
   * Checks that an argument is a whole number.
   *
   * @param value the argument
   * @param what the call and the argument, for the message
   * @param min smallest value accepted
   * @param max largest value accepted
   * @throws {Misuse} when it is none
   */
  whole(value: unknown, what: string, min = 0, max: number = MAX_PAGES): asserts value is number {
    if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return;
    const whole = min === -MAX_PAGES ? 'a whole number' : `a whole number from ${min} on`;
    const range = max === MAX_PAGES ? whole : `${min} to ${max}`;
    throw new Misuse(`${what}: expected ${range}, got ${shown(value)}`);
  }

  /**
   * Checks that an argument is a page frame, or a `struct page`.
   *
   * @param value the argument
   * @param what the call and the argument, for the message
   * @throws {Misuse} when it is none
   */
  frame(value: unknown, what: string): asserts value is number {
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < MAX_FRAME) return;
    throw new Misuse(`${what}: expected the number of a page frame, got ${shown(value)}`);
  }

  /**
   * Checks that an argument is an object.
   *
   * @param value the argument
   * @param what the call and the argument, for the message
   * @throws {Misuse} when it is none
   */
  any(value: unknown, what: string): asserts value is object {
    if (typeof value === 'object' && value !== null) return;
    throw new Misuse(`${what}: expected an object, got ${shown(value)}`);
  }

  /**
   * Writes a result into an object of the algorithm's.
   *
   * @param object the object
   * @param what the call and the argument, for the message
   * @param key the field
   * @param value the result
   * @throws {Misuse} when it is none, or does not take the field
   */
  assign(object: unknown, what: string, key: string, value: unknown): void {
    this.any(object, what);
    if (Reflect.set(object, key, value)) return;
    throw new Misuse(`${what}: expected an object that can be written to, got one that is frozen`);
  }

  /**
   * Checks that an argument is an object of one kind.
   *
   * @param found what the argument turned out to be
   * @param value the argument
   * @param what the call and the argument, for the message
   * @param expected what is accepted
   * @returns `found`
   * @throws {Misuse} when it is nothing
   */
  object<Kind>(found: Kind | null, value: unknown, what: string, expected: string): Kind {
    if (found !== null) return found;
    throw new Misuse(`${what}: expected ${expected}, got ${shown(value)}`);
  }
}
