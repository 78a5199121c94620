/**
 * The calls of a step as a graph, in the form of ftrace's function_graph: nested braces, arguments
 * and results as comments. Calls that come again and again in the same shape are shown once.
 *
 * @source Documentation/trace/ftrace.rst, function_graph, 6.16
 */
import { writeArguments, writeReturn } from '@pinfold/base';
import type { StepCalls, TracedCall } from './call-recorder.ts';

/** Lines that are shown of a step unless told otherwise. */
const MAX_GRAPH_LINES = 200;

/** Calls in a row that are looked at as one group that may come again. */
const MAX_GROUP = 4;
/** Times that a group has to come before it is folded. */
const MIN_TIMES = 3;

/**
 * Draws the calls of a step.
 *
 * @param step the calls
 * @param maxLines lines at most, at least 1; one more says how many are left out
 * @returns lines, without an indentation of the outermost calls
 * @source Documentation/trace/ftrace.rst, function_graph, 6.16
 */
export function functionGraph(step: StepCalls, maxLines: number = MAX_GRAPH_LINES): string[] {
  const lines = [...graphLines(step, '', new Shapes())];
  if (lines.length <= maxLines) return lines;
  const shown = lines.slice(0, maxLines);
  return [...shown, comment(`${formatCount(lines.length - maxLines)} lines more`)];
}

function* graphLines(
  { calls, omitted }: Pick<TracedCall, 'calls' | 'omitted'>,
  indent: string,
  shapes: Shapes,
): Generator<string, void> {
  for (let at = 0; at < calls.length;) {
    const { size, times } = groupAt(calls, at, shapes);
    const group = calls.slice(at, at + size);
    for (const call of group) yield* callLines(call, indent, shapes);
    if (times > 1) {
      const names = group.map(({ fn }) => fn).join(', ');
      yield indent + comment(`${formatCount(times - 1)} times more: ${names}`);
    }
    at += size * times;
  }
  if (omitted > 0) yield indent + comment(`${formatCount(omitted)} events left out`);
}

function* callLines(call: TracedCall, indent: string, shapes: Shapes): Generator<string, void> {
  const { fn, calls, omitted } = call;
  const args = argumentWords(call);
  const ret = returnWords(call);
  if (calls.length === 0 && omitted === 0) {
    yield indent + withComment(`${fn}();`, [...args, ...ret]);
    return;
  }
  yield indent + withComment(`${fn}() {`, args);
  yield* graphLines(call, `${indent}  `, shapes);
  yield indent + withComment('}', ret.length > 0 ? [fn, ...ret] : []);
}

function argumentWords({ fn, values, n, step }: TracedCall): string[] {
  const words = writeArguments(fn, values).map(({ name, text }) => `${name}=${text}`);
  if (n === 1) return words;
  const grows = step === 0 ? [] : writeArguments(fn, [step]).map(({ text }) => `step=${text}`);
  return [...words, ...grows, `calls=${n}`];
}

function returnWords({ fn, ret }: TracedCall): string[] {
  const text = ret === null ? 'never' : writeReturn(fn, ret);
  return text === '' ? [] : [`ret=${text}`];
}

function withComment(code: string, words: readonly string[]): string {
  return words.length > 0 ? `${code} ${comment(words.join(' '))}` : code;
}

function comment(text: string): string {
  return `/* ${text} */`;
}

function formatCount(n: number): string {
  return n.toLocaleString('en-US');
}

/** The calls from one on that make a group, and how often that comes in a row. */
function groupAt(
  calls: readonly TracedCall[],
  at: number,
  shapes: Shapes,
): { size: number; times: number } {
  let best = { size: 1, times: 1 };
  for (let size = 1; size <= MAX_GROUP; size++) {
    let end = at + size;
    while (end < calls.length && shapes.of(calls[end]) === shapes.of(calls[end - size])) end++;
    const times = Math.floor((end - at) / size);
    if (times >= MIN_TIMES && times * size > best.times * best.size) best = { size, times };
  }
  return best;
}

/** Numbers the shapes of calls: which functions they call, whatever the arguments. */
class Shapes {
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<TracedCall, number>();

  of(call: TracedCall): number {
    const known = this.#known.get(call);
    if (known !== undefined) return known;
    const text = `${call.fn} ${call.omitted > 0} ${call.calls.map((child) => this.of(child)).join()}`;
    const number = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, number);
    this.#known.set(call, number);
    return number;
  }
}
