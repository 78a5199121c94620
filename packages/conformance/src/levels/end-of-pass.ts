/**
 * How a recorded pass ended: with its process, in a call that never returns, or with a BUG of the
 * kernel.
 *
 * @source recordings README, "Recording format" (`pins_left`, `broken`); README-extpin, "Families"
 */
import type { Observation } from '@pinfold/scenario';
import { diff, type Difference } from './differences.ts';
import type { RecordedPass } from '../recording/recording.ts';

/** What is compared, and its result. */
export interface EndResult {
  /** Whether it was as recorded. */
  readonly verdict: 'passed' | 'failed';
  /** What was not. */
  readonly differences: readonly Difference[];
}

/**
 * Whether the kernel hit a BUG in the step after the last that is recorded.
 *
 * @param pass the pass
 * @returns true if its messages say so
 */
export function diedInBug({ broken, klog = [] }: RecordedPass): boolean {
  return broken !== undefined && klog.some((line) => line.includes('kernel BUG at'));
}

/**
 * Whether the step after the last that is recorded never returned: the process had to be killed in it.
 *
 * @param pass the pass
 * @returns true if so
 * @source README-more, "Recorded": `timeout: 1`, and `broken_tail`; a kernel that died
 * has left messages
 */
export function hungInStep({ broken, timeout, klog }: RecordedPass): boolean {
  return broken !== undefined && timeout === 1 && klog === undefined;
}

/**
 * Compares what there was to see when the kernel had died: how often emulated devices were notified in
 * the pass, and the references that open ones hold.
 *
 * @param pass the pass
 * @param model what the model shows after its last step, and notifications in the steps before
 * @returns the result
 */
export function compareLastWords(
  { klog = [] }: RecordedPass,
  {
    held = {},
    notify = [],
    notify_total = 0,
    notified,
  }: Partial<Observation> & { readonly notified: number },
): EndResult {
  const [, total, refs] = /^extpin: notify_total=(\d+) held=(\d+)$/.exec(klog.at(-1) ?? '') ?? [];
  if (total === undefined || refs === undefined) return asResult([]);
  // The module says what the device holds that it has notified last.
  const last = notify.at(-1)?.dev;
  const sum = last === undefined ? 0 : (held[last] ?? 0);
  return asResult([
    ...diff('notify_total', Number(total), notified + notify_total),
    ...diff('held', Number(refs), sum),
  ]);
}

/**
 * Compares the pins that are left when the process has gone. The recorded number is that of the guest:
 * where processes before have leaked pins, theirs are in it. Then, if the process had no container at
 * its end, what it leaks is what its own steps have left; else at most that.
 *
 * @param pass the pass
 * @param model pins that the model's process leaves
 * @returns the result
 */
export function comparePinsLeft({ pins_left, steps }: RecordedPass, model: number): EndResult {
  if (pins_left === 0 || steps.length === 0) return asResult(diff('pins_left', pins_left, model));
  const ofSteps = steps.reduce((sum, { pins }) => sum + pins.acquired - pins.released, 0);
  const closed = steps.at(-1)?.avail === undefined;
  const isRight = closed ? model === ofSteps : model <= Math.min(ofSteps, pins_left);
  return asResult(isRight ? [] : [{ path: 'pins_left', recorded: ofSteps, model }]);
}

function asResult(differences: readonly Difference[]): EndResult {
  return { verdict: differences.length > 0 ? 'failed' : 'passed', differences };
}
