/** Why the steps of a scenario failed, what succeeded in a way one would not expect, and where. */
import type { InputError } from '@pinfold/base';
import { kernelVersions, type KernelVersion } from '@pinfold/kernels';
import {
  failureText,
  type Machine,
  type Repeated,
  runEachStep,
  runWhilePossible,
  StateTracker,
  type StepState,
} from '@pinfold/scenario';
import type { GuestRun, GuestScenario, GuestStep } from '../operations/guest-scenario.ts';
import { checkOf } from './checks.ts';
import { Detail } from './detail.ts';
import { findings } from './findings.ts';
import { LiveMappings } from './live-mappings.ts';
import { MappedRegions } from './mapped-regions.ts';

/** What can be said of a step. */
export interface Explanation {
  /** Number of the step, from 0. */
  readonly index: number;
  /** Its line. */
  readonly line: number;
  /** Its text. */
  readonly text: string;
  /** Where it stands among the steps of a line with `repeat=`. */
  readonly repeated?: Repeated;
  /** Name of the error, or null for a step that succeeded. */
  readonly errno: string | null;
  /** Kernel function whose check failed; absent for a step that succeeded. */
  readonly at?: string;
  /** What was tested and what was wrong, in sentences. */
  readonly sentences: readonly string[];
  /**
   * Outcome of the same step per release series that came so far: the name of the error, or null.
   */
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
  scenario: GuestScenario,
  kernel: KernelVersion,
  machineOf: (kernel: KernelVersion) => Machine,
): Promise<Explanation[]> {
  const { explanations, stopped } = await explainWhilePossible(scenario, kernel, machineOf);
  if (stopped) throw stopped;
  return explanations;
}

/** The explanations of a scenario that may not have come to its end. */
export interface ScenarioExplanation {
  /** One per step that failed, or that is remarkable although it succeeded. */
  readonly explanations: Explanation[];
  /** Number of the steps that were done. */
  readonly done: number;
  /** Why the step after them could not be done. */
  readonly stopped?: InputError;
}

/**
 * Explains a scenario as {@link explainScenario} does, as far as it can be run: a step that cannot be
 * done does not hide those before it.
 *
 * @param scenario the scenario
 * @param kernel the release
 * @param machineOf makes the machine for a release; all of them alike
 * @returns the explanations, and what is wrong with the step that cannot be done
 */
export async function explainWhilePossible(
  scenario: GuestScenario,
  kernel: KernelVersion,
  machineOf: (kernel: KernelVersion) => Machine,
): Promise<ScenarioExplanation> {
  const run = await runWhilePossible(scenario, machineOf(kernel));
  const { steps, stopped } = run;
  const found = remarkable(run, true);
  const outcomes = new Map<string, Outcomes>();
  const last = found.at(-1);
  if (last) {
    // Only steps that are explained are compared: nothing is to be known of those after the last.
    const first = { ...scenario, steps: scenario.steps.slice(0, last.index + 1) };
    for (const version of kernelVersions) {
      const isSame = version.series === kernel.series;
      outcomes.set(
        version.series,
        isSame ? outcomesOf(run) : await outcomesOn(machineOf(version), first),
      );
    }
  }
  const explanations = found.map((one) => ({ ...one, releases: at(outcomes, one.index) }));
  return { explanations, done: steps.length, ...(stopped && { stopped }) };
}

/** What came of each step: the name of an error, or null. */
type Outcomes = readonly (string | null)[];

function outcomesOf({ steps }: GuestRun): Outcomes {
  return steps.map(({ observation }) => observation.errno);
}

/** Runs a scenario as far as it can be run, and keeps nothing else of its steps. */
async function outcomesOn(machine: Machine, scenario: GuestScenario): Promise<Outcomes> {
  const outcomes: (string | null)[] = [];
  await runEachStep(scenario, machine, ({ observation }) => outcomes.push(observation.errno));
  return outcomes;
}

/** The outcomes of one step on each release that came so far. */
function at(outcomes: ReadonlyMap<string, Outcomes>, index: number): Explanation['releases'] {
  return Object.fromEntries(
    [...outcomes].flatMap(([series, of]) => (index < of.length ? [[series, of[index]]] : [])),
  );
}

/**
 * Explains the steps of a run.
 *
 * @param run the run
 * @param others runs of the same scenario on other releases, by series; default none
 * @returns one explanation per step that failed, or that is remarkable although it succeeded
 */
export function explainRun(
  run: GuestRun,
  others: ReadonlyMap<string, GuestRun> = new Map<string, GuestRun>(),
): Explanation[] {
  const outcomes = new Map([...others].map(([series, other]) => [series, outcomesOf(other)]));
  return remarkable(run, true).map((one) => ({ ...one, releases: at(outcomes, one.index) }));
}

/**
 * Explains the steps of a run that failed.
 *
 * @param run the run
 * @returns one explanation per step that failed, without other releases
 */
export function explainFailures(run: GuestRun): Explanation[] {
  return remarkable(run, false).map((one) => ({ ...one, releases: {} }));
}

/** What there is to say of the steps of a run: of those that failed, and of others if wanted. */
function remarkable(run: GuestRun, others: boolean): Omit<Explanation, 'releases'>[] {
  const live = new LiveMappings();
  const tracker = new StateTracker();
  const regions = new MappedRegions();
  let before: StepState | null = null;
  return run.steps.flatMap((done) => {
    const { step, observation, index } = done;
    const state = tracker.after(observation);
    regions.after(done);
    const context = { done, live, before: before ?? state, state, regions };
    const { failure, errno } = observation;
    const sentences =
      errno !== null
        ? [whyFailed(done, live, before)]
        : (others ? findings : []).flatMap(({ find }) => find(context) ?? []);
    live.after(done);
    before = state;
    if (sentences.length === 0) return [];
    const from = failure ? { at: failure.at } : {};
    const { line, text, repeated } = step;
    const where = { index, line, text, ...(repeated && { repeated }) };
    return [{ ...where, errno, ...from, sentences }];
  });
}

/** The sentence of the check that failed; its bare values if nobody wrote one. */
function whyFailed(done: GuestStep, live: LiveMappings, before: StepState | null): string {
  const { operation, observation } = done;
  const { failure, errno } = observation;
  if (!failure) {
    return `pinfold cannot say which check of ${operation.op} gave ${errno ?? 'the error'}.`;
  }
  const check = checkOf(failure);
  const lockedPagesBefore = (before?.shown.mm.VmLck ?? 0) / 4;
  if (check) return check.say(new Detail(failure.detail), live, { operation, lockedPagesBefore });
  const { bug, hang } = failure.detail;
  if (hang !== undefined) {
    return `The call never returns, and keeps the lock of the container: ${hang}. Only SIGKILL ends it.`;
  }
  if (bug === undefined) return `${failureText(failure)}.`;
  return `The kernel would crash here, or corrupt its memory: ${bug}.`;
}
