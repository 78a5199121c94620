/** The calls of iommufd's functions: counted, and shown to the machine's tracer. */
import type { Counters, TracedFunction } from '@pinfold/base';

/** Counts and traces the calls of one machine's iommufd. */
export class IommufdCalls {
  /** Calls by function, since the beginning. */
  readonly counted: Map<TracedFunction, number> = new Map();
  readonly #counters: Counters;

  /** @param counters the machine's counters, which know the tracer */
  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /**
   * A function is entered.
   *
   * @param fn the function
   * @param a first value of its arguments; the others follow
   * @param b second value
   * @param c third value
   * @param d fourth value
   * @param e fifth value
   * @param f sixth value
   */
  enter(fn: TracedFunction, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    this.note(fn);
    this.#counters.tracer?.enter(fn, a, b, c, d, e, f);
  }

  /**
   * The function returns.
   *
   * @param fn the function that was entered last
   * @param ret what it returns
   * @returns the same
   */
  exit(fn: TracedFunction, ret = 0): number {
    this.#counters.tracer?.exit(fn, ret);
    return ret;
  }

  /**
   * Counts a call of another layer's function, which counts and traces it for itself.
   *
   * @param fn the function
   */
  note(fn: TracedFunction): void {
    this.counted.set(fn, (this.counted.get(fn) ?? 0) + 1);
  }

  /**
   * A function of which nothing that it calls is traced.
   *
   * @param fn the function
   * @param a first value of its arguments; the others follow
   * @param b second value
   * @param c third value
   * @param d fourth value
   * @param e fifth value
   */
  call(fn: TracedFunction, a = 0, b = 0, c = 0, d = 0, e = 0): void {
    this.enter(fn, a, b, c, d, e);
    this.exit(fn);
  }
}
