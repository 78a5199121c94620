/** Why the steps of a scenario failed, what succeeded in a way one would not expect, and where. */
import { kernelVersions, type KernelVersion } from '@pinfold/vfio-type1';
import { failureText } from '../failure.ts';
import type { Scenario } from '../language.ts';
import type { Machine } from '../machine.ts';
import { newRegionOf } from '../operation.ts';
import { runScenario, type DoneStep, type ScenarioRun } from '../runner.ts';
import { StateTracker, type StepState } from '../step-state.ts';
import { checkOf } from './checks.ts';
import { Detail } from './detail.ts';
import { findings } from './findings.ts';
import { LiveMappings } from './live-mappings.ts';

/** What can be said of a step. */
export interface Explanation {
  /** Number of the step, from 0. */
  readonly index: number;
  /** Its line. */
  readonly line: number;
  /** Its text. */
  readonly text: string;
  /** Name of the error, or null for a step that succeeded. */
  readonly errno: string | null;
  /** Kernel function whose check failed; absent for a step that succeeded. */
  readonly at?: string;
  /** What was tested and what was wrong, in sentences. */
  readonly sentences: readonly string[];
  /** Outcome of the same step per release series: the name of the error, or null. */
  readonly releases: Readonly<Record<string, string | null>>;
}

/**
 * Runs a scenario on a release, and on the others for comparison, and explains its steps.
 *
 * @param scenario the scenario
 * @param kernel the release
 * @param machineOf makes the machine for a release; all of them alike
 * @returns one explanation per step that failed, or that is remarkable although it succeeded
 * @throws {InputError} when a step cannot be evaluated or done
 */
export async function explainScenario(
  scenario: Scenario,
  kernel: KernelVersion,
  machineOf: (kernel: KernelVersion) => Machine,
): Promise<Explanation[]> {
  const runs = new Map<string, ScenarioRun>();
  for (const version of kernelVersions) {
    runs.set(version.series, await runScenario(scenario, machineOf(version)));
  }
  const run = runs.get(kernel.series);
  return run ? explainRun(run, runs) : [];
}

/**
 * Explains the steps of a run.
 *
 * @param run the run
 * @param others runs of the same scenario on other releases, by series; default none
 * @returns one explanation per step that failed, or that is remarkable although it succeeded
 */
export function explainRun(
  run: ScenarioRun,
  others: ReadonlyMap<string, ScenarioRun> = new Map<string, ScenarioRun>(),
): Explanation[] {
  const live = new LiveMappings();
  const tracker = new StateTracker();
  const regions = new Map<string, bigint>();
  let before: StepState | null = null;
  return run.steps.flatMap((done) => {
    const { step, operation, observation, index } = done;
    const state = tracker.after(observation);
    const name = newRegionOf(operation);
    if (name !== undefined && observation.va !== undefined) {
      regions.set(name, BigInt(observation.va));
    }
    const sentences = observation.failure
      ? [whyFailed(done, live)]
      : findings.flatMap(
          ({ find }) => find({ done, live, before: before ?? state, state, regions }) ?? [],
        );
    live.after(done);
    before = state;
    if (sentences.length === 0) return [];
    const { failure, errno } = observation;
    const at = failure ? { at: failure.at } : {};
    const releases = Object.fromEntries(
      [...others].map(([series, { steps }]) => [series, steps[index]?.observation.errno ?? null]),
    );
    return [{ index, line: step.line, text: step.text, errno, ...at, sentences, releases }];
  });
}

/** The sentence of the check that failed; its bare values if nobody wrote one. */
function whyFailed({ observation: { failure } }: DoneStep, live: LiveMappings): string {
  if (!failure) return '';
  const check = checkOf(failure);
  if (check) return check.say(new Detail(failure.detail), live);
  const { bug, hang } = failure.detail;
  if (hang !== undefined) {
    return `The call never returns, and keeps the lock of the container: ${hang}. Only SIGKILL ends it.`;
  }
  if (bug === undefined) return `${failureText(failure)}.`;
  return `The kernel would crash here, or corrupt its memory: ${bug}.`;
}
