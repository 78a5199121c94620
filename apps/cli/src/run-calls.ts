/** The calls that the steps of `pinfold run` made: as text, as recordings list them, for Perfetto. */
import { InputError } from '@pinfold/base';
import { END_OF_PROCESS } from '@pinfold/conformance';
import {
  ALL_PROBES,
  functionGraph,
  ProbeLines,
  replayCalls,
  traceEventFile,
  type StepCalls,
  type TracedStep,
} from '@pinfold/guest';
import { StateTracker, type DoneStep, type Observation } from '@pinfold/scenario';
import { formatCount } from './table.ts';
import { replaceFile } from './write-file.ts';

/**
 * The calls as a function graph per step.
 *
 * @param steps the steps
 * @param calls the calls of each, and those of the end of the process; none if they are not wanted
 * @returns a heading and the graph of every step that made calls; empty if none did
 */
export function callsText(steps: readonly DoneStep[], calls: readonly StepCalls[]): string {
  return calls
    .map((made, index) => {
      if (made.events === 0) return '';
      const lines = functionGraph(made).map((line) => `  ${line}\n`);
      return `\n${headingOf(steps.at(index), made)}\n${lines.join('')}`;
    })
    .join('');
}

function headingOf(done: DoneStep | undefined, { events }: StepCalls): string {
  const what = done ? `line ${done.step.line}: ${done.step.text}` : END_OF_PROCESS;
  return `${what} /* ${formatCount(events)} entries and returns */`;
}

/**
 * The calls of a step as a recording has them.
 *
 * @param made the calls; undefined if they are not wanted
 * @returns the fields of the step
 */
export function recordedCalls(
  made: StepCalls | undefined,
): Pick<Observation, 'trace' | 'trace_total'> {
  if (!made) return {};
  const probes = new ProbeLines(ALL_PROBES);
  replayCalls(made.calls, probes);
  return { trace: probes.lines(), trace_total: probes.total };
}

/**
 * Writes a run in the format that Perfetto opens.
 *
 * @param file where to
 * @param name what was run, on which kernel
 * @param steps the steps
 * @param calls the calls of each, and those of the end of the process
 * @throws {InputError} when the file cannot be written
 */
export function writePerfetto(
  file: string,
  name: string,
  steps: readonly DoneStep[],
  calls: readonly StepCalls[],
): void {
  const tracker = new StateTracker();
  const traced = calls.map((made, index): TracedStep => {
    const done = steps.at(index);
    const state = done && tracker.after(done.observation);
    return { ...made, text: done?.step.text ?? END_OF_PROCESS, state };
  });
  try {
    replaceFile(file, `${JSON.stringify(traceEventFile(name, traced))}\n`);
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new InputError('--perfetto', 'a file that can be written', got);
  }
}
