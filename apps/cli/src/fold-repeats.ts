/** The steps of a line with `repeat=` for people to read: those that came to the same are one. */
import type { Explanation } from '@pinfold/guest';
import type { Observation, Step } from '@pinfold/scenario';
import type { RunRow } from './run-table.ts';
import { formatCount } from './table.ts';

/**
 * The rows of a run. Of steps that are one row, what they did is added up, and what they left is what
 * the last one left.
 *
 * @param rows one row per step
 * @returns the rows to show
 */
export function foldRows(rows: readonly RunRow[]): RunRow[] {
  return grouped(rows, ({ step, observation }) => {
    const { ret, errno, failure, size_out, klog } = observation;
    return step.repeated && [step.line, ret, errno, failure?.at, size_out, klog].join();
  }).map((group) => {
    const [first, last] = ends(group);
    if (group.length === 1) return first;
    const step = { ...last.step, text: foldedText(first.step, last.step, '\n') };
    return { ...last, step, observation: sumOf(group.map(({ observation }) => observation)) };
  });
}

/**
 * Explanations, of which those that say the same of steps of one line are one.
 *
 * @param explanations one per step
 * @returns the explanations to show
 */
export function foldExplanations(explanations: readonly Explanation[]): Explanation[] {
  return grouped(explanations, ({ repeated, line, errno, at, sentences, releases }) => {
    return repeated && JSON.stringify([line, errno, at, sentences, releases]);
  }).map((group) => {
    const [first, last] = ends(group);
    return group.length === 1 ? first : { ...first, text: foldedText(first, last, ' ') };
  });
}

/** Neighbours with the same key; those without a key are alone. */
function grouped<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string | undefined,
): Item[][] {
  const groups: Item[][] = [];
  let before: string | undefined;
  for (const item of items) {
    const key = keyOf(item);
    if (key !== undefined && key === before) groups.at(-1)?.push(item);
    else groups.push([item]);
    before = key;
  }
  return groups;
}

function ends<Item>(group: readonly Item[]): readonly [first: Item, last: Item] {
  return [group[0], group[group.length - 1]];
}

/** The line as written, and which of its steps these are. */
function foldedText(
  first: Pick<Step, 'repeated' | 'text'>,
  last: Pick<Step, 'repeated'>,
  between: string,
): string {
  const { text = first.text, i = 0 } = first.repeated ?? {};
  return `${text}${between}(i = ${formatCount(i)} to ${formatCount(last.repeated?.i ?? 0)})`;
}

function sumOf(observations: readonly Observation[]): Observation {
  const calls: Record<string, number> = {};
  const pins = { acquired: 0, released: 0 };
  let notified = 0;
  for (const observation of observations) {
    pins.acquired += observation.pins.acquired;
    pins.released += observation.pins.released;
    notified += observation.notify_total ?? 0;
    for (const [name, count] of Object.entries(observation.calls ?? {})) {
      calls[name] = (calls[name] ?? 0) + count;
    }
  }
  const [, last] = ends(observations);
  return { ...last, pins, calls, ...(notified > 0 && { notify_total: notified }) };
}
