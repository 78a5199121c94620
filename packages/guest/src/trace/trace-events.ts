/**
 * A run in the trace-event format that Perfetto and chrome://tracing open: steps and calls as
 * slices, the state after each step as counter tracks.
 *
 * The axis is no time. An entry or return of a traced function is one unit, which the viewers show
 * as a microsecond.
 *
 * @source Trace Event Format, Google; https://perfetto.dev/docs/getting-started/other-formats
 */
import { writeArguments, writeReturn } from '@pinfold/base';
import type { Observation, StepState } from '@pinfold/scenario';
import type { StepCalls, TracedCall } from './call-recorder.ts';

/** A step of a run, with its calls. */
export interface TracedStep extends StepCalls {
  /** Its line in the scenario. */
  readonly text: string;
  /** The state after it; undefined for the end of the process. */
  readonly state: StepState | undefined;
}

/** An event of the format. */
export interface TraceEvent {
  /** What is shown. */
  readonly name: string;
  /** B and E: a slice begins and ends; C: values of a counter track; i: a moment; M: a label. */
  readonly ph: 'B' | 'E' | 'C' | 'i' | 'M';
  /** Number of events before it. */
  readonly ts: number;
  /** Number of the process. */
  readonly pid: number;
  /** Number of the thread. */
  readonly tid: number;
  /** Kind of slice. */
  readonly cat?: 'step' | 'call';
  /** Scope of a moment: the thread. */
  readonly s?: 't';
  /** What is shown beside the name. */
  readonly args?: Readonly<Record<string, string | number>>;
}

/** A file in the format. */
export interface TraceFile {
  /** The events, in order. */
  readonly traceEvents: readonly TraceEvent[];
  /** Facts of the run. */
  readonly otherData: Readonly<Record<string, string>>;
}

const AXIS = 'events: 1 us = one entry or return of a traced function; not a time';
const PAGE_KB = 4;

/**
 * A run as trace events.
 *
 * @param name what is run, on which kernel
 * @param steps its steps
 * @returns what a file has to hold, as JSON
 * @source Trace Event Format, Google
 */
export function traceEventFile(name: string, steps: readonly TracedStep[]): TraceFile {
  const writer = new EventWriter();
  writer.label('process_name', name);
  writer.label('thread_name', AXIS);
  for (const step of steps) writer.step(step);
  return { traceEvents: writer.events, otherData: { run: name, axis: AXIS } };
}

/** Writes events one after the other. */
class EventWriter {
  readonly events: TraceEvent[] = [];
  #at = 0;
  #pinned = 0;
  /** Sizes of leaves that were shown: each stays a counter. */
  readonly #leafSizes = new Set<string>();

  label(what: string, name: string): void {
    this.#add({ name: what, ph: 'M', args: { name } });
  }

  step({ text, state, calls, omitted }: TracedStep): void {
    this.#add({ name: text, ph: 'B', cat: 'step' });
    const start = this.#at;
    for (const call of calls) this.#call(call);
    this.#omit(omitted);
    // A step without calls would have no width.
    if (this.#at === start) this.#at++;
    this.#add({ name: text, ph: 'E', cat: 'step', ...(state && { args: resultOf(state.shown) }) });
    if (state) this.#counters(state);
  }

  #call(call: TracedCall): void {
    const { fn, ret, n } = call;
    this.#add({ name: fn, ph: 'B', cat: 'call', args: argumentsOf(call) });
    this.#at++;
    for (const child of call.calls) this.#call(child);
    this.#omit(call.omitted);
    this.#at += 2 * n - 1;
    const text = ret === null ? 'never' : writeReturn(fn, ret);
    this.#add({ name: fn, ph: 'E', cat: 'call', ...(text && { args: { ret: text } }) });
  }

  #omit(events: number): void {
    if (events === 0) return;
    this.#add({ name: 'left out', ph: 'i', s: 't', args: { events } });
    this.#at += events;
  }

  #counters({ shown: { pins, mm }, table }: StepState): void {
    this.#pinned += pins.acquired - pins.released;
    this.#counter('pins held', this.#pinned);
    this.#counter('locked_vm (pages)', mm.VmLck / PAGE_KB);
    for (const size of Object.keys(table?.leaf ?? {})) this.#leafSizes.add(size);
    for (const size of this.#leafSizes)
      this.#counter(`IOMMU leaves ${size}`, table?.leaf[size] ?? 0);
    this.#counter('IOMMU tables', table?.pt_pages ?? 0);
  }

  #counter(name: string, value: number): void {
    this.#add({ name, ph: 'C', args: { value } });
  }

  #add(event: Omit<TraceEvent, 'ts' | 'pid' | 'tid'>): void {
    this.events.push({ ...event, ts: this.#at, pid: 1, tid: 1 });
  }
}

function resultOf({ ret, errno }: Observation): Record<string, string | number> {
  return errno === null ? { ret } : { ret, errno };
}

function argumentsOf({ fn, values, n, step }: TracedCall): Record<string, string | number> {
  const args = writeArguments(fn, values).map(({ name, text }) => [name, text] as const);
  const grows = step === 0 ? [] : writeArguments(fn, [step]).map(({ text }) => ['step', text]);
  return Object.fromEntries([...args, ...grows, ...(n > 1 ? [['calls', n]] : [])]) as Record<
    string,
    string | number
  >;
}
