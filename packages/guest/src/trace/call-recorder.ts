/** Keeps the calls of a machine, step by step, as the tree that they are. */
import { TRACED_FUNCTIONS, type TracedFunction, type Tracer } from '@pinfold/base';

/** A call, or calls of one function in a row that differ in their argument and result only. */
export interface TracedCall {
  /** The function. */
  readonly fn: TracedFunction;
  /** Its arguments, in the units of the table of traced functions; of the first call. */
  readonly values: readonly number[];
  /** What it returned; of the first call. Null if it has not: it ended in a KernelBug. */
  readonly ret: number | null;
  /** Number of calls. */
  readonly n: number;
  /** By how much the argument grows from call to call. */
  readonly step: number;
  /** By how much the result grows from call to call. */
  readonly retStep: number;
  /** The calls that it made. */
  readonly calls: readonly TracedCall[];
  /** Entry and return events inside it that were left out, at its end. */
  readonly omitted: number;
}

/** The calls of a step. */
export interface StepCalls {
  /** The outermost calls, in order. */
  readonly calls: readonly TracedCall[];
  /** Entry and return events in all, those that were left out included. */
  readonly events: number;
  /** Events outside any call that were left out. */
  readonly omitted: number;
}

/** Calls of a step that a recorder keeps unless told otherwise. */
const MAX_CALLS = 20_000;

/** What makes calls: a call, or the step itself. */
interface Caller {
  ret: number | null;
  readonly calls: TracedCall[];
  omitted: number;
}

/** Records the calls of a machine. */
export class CallRecorder implements Tracer {
  readonly #maxCalls: number;
  #kept = 0;
  #events = 0;
  /** The step, and the calls that have not returned. */
  #stack: [Caller, ...Caller[]] = [{ ret: null, calls: [], omitted: 0 }];
  /** Calls under way that are left out. */
  #skipped = 0;

  /** @param maxCalls calls that are kept of a step; default {@link MAX_CALLS} */
  constructor(maxCalls: number = MAX_CALLS) {
    this.#maxCalls = maxCalls;
  }

  /**
   * Takes the calls since the last time.
   *
   * @returns the calls, and how many events they were
   */
  take(): StepCalls {
    const [{ calls, omitted }] = this.#stack;
    const events = this.#events;
    this.#stack = [{ ret: null, calls: [], omitted: 0 }];
    this.#kept = 0;
    this.#events = 0;
    this.#skipped = 0;
    return { calls, events, omitted };
  }

  enter(fn: TracedFunction, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    this.#events++;
    const call = this.#add({ fn, values: [a, b, c, d, e, f], n: 1, step: 0, retStep: 0 });
    if (call) this.#stack.push(call);
    else {
      this.#skipped++;
      this.#top.omitted++;
    }
  }

  exit(_fn: TracedFunction, ret = 0): void {
    this.#events++;
    if (this.#skipped > 0) {
      this.#skipped--;
      this.#top.omitted++;
      return;
    }
    this.#top.ret = ret;
    if (this.#stack.length > 1) this.#stack.pop();
  }

  repeat(
    fn: TracedFunction,
    n: number,
    a: number,
    step: number,
    ret: number,
    retStep: number,
  ): void {
    // A call that is inlined is no event of a kernel.
    if (TRACED_FUNCTIONS[fn].inlined !== undefined) return;
    this.#events += 2 * n;
    const call = this.#add({ fn, values: [a, 0, 0, 0, 0, 0], n, step, retStep });
    if (call) call.ret = ret;
    else this.#top.omitted += 2 * n;
  }

  get #top(): Caller {
    return this.#stack.at(-1) ?? this.#stack[0];
  }

  /** Adds a call to the one under way; null if there is no room for it. */
  #add(made: Omit<TracedCall, keyof Caller>): Caller | null {
    if (this.#skipped > 0 || this.#kept >= this.#maxCalls) return null;
    this.#kept++;
    const call: TracedCall & Caller = { ...made, ret: null, calls: [], omitted: 0 };
    this.#top.calls.push(call);
    return call;
  }
}

/**
 * Hands recorded calls over to another tracer, as if they were made again.
 *
 * @param calls the calls; what was left out of them stays so
 * @param tracer sees them
 */
export function replayCalls(calls: readonly TracedCall[], tracer: Tracer): void {
  for (const { fn, values, ret, n, step, retStep, calls: inner } of calls) {
    if (n > 1) {
      tracer.repeat(fn, n, values[0], step, ret ?? 0, retStep);
      continue;
    }
    const [a, b, c, d, e, f] = values;
    tracer.enter(fn, a, b, c, d, e, f);
    replayCalls(inner, tracer);
    if (ret !== null) tracer.exit(fn, ret);
  }
}
