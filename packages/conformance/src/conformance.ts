/**
 * Conformance: a recorded scenario is run on a machine, and every step is compared with what the
 * kernel did, on every level.
 */
import { InputError, KernelBug, KernelHang } from '@pinfold/base';
import {
  type Scenario,
  type Machine,
  type Observation,
  StepRunner,
  StateTracker,
  type StepState,
} from '@pinfold/scenario';
import type { Difference } from './levels/differences.ts';
import { familyOf } from './recording/family.ts';
import { levels as allLevels } from './levels/index.ts';
import type { Exclusion, Level } from './levels/level.ts';
import { checkKernel, recordedScenario } from './recording/parse-recording.ts';
import type { RecordedPass, RecordedStep, Recording } from './recording/recording.ts';
import { compareLastWords, comparePinsLeft, diedInBug, hungInStep } from './levels/end-of-pass.ts';
import { walkPass } from './recording/walk-pass.ts';

/** A machine that stands for the one of a recorded pass. */
export interface RecordedMachine {
  /** Does the operations. */
  readonly machine: Machine;
  /**
   * Called before a step: the machine may look up what the recording shows of it, such as frames.
   *
   * @param stepIndex number of the step, from 0
   */
  beforeStep(stepIndex: number): void;
}

/** What is wanted of the machine for a pass of a recording. */
export interface RecordedMachineOptions {
  /** Whether its steps have to show their calls (`trace`, `trace_total`). */
  readonly trace: boolean;
}

/** Makes the machine for a pass of a recording. */
export type RecordedMachineFactory = (
  recording: Recording,
  pass: RecordedPass,
  options: RecordedMachineOptions,
) => RecordedMachine;

/** Whether a step was as recorded; `skipped`: it could not be compared. */
export type Verdict = 'passed' | 'failed' | 'skipped';

/** One step on one level. */
export interface StepResult {
  /** The recording's file. */
  readonly file: string;
  /** The recorded kernel. */
  readonly kernel: string;
  /** Family of the scenario. */
  readonly family: string;
  /** The pass. */
  readonly pass: 'trace' | 'plain';
  /** Number of the step, from 0; the end of the process comes after the last. */
  readonly step: number;
  /** The step's line. */
  readonly line: string;
  /** Name of the level. */
  readonly level: string;
  /** Whether it was as recorded. */
  readonly verdict: Verdict;
  /** What was not as recorded. */
  readonly differences: readonly Difference[];
  /** Why it was skipped. */
  readonly reason?: string;
}

/** All results of a recording. */
export interface RecordingResult {
  /** The recording's file. */
  readonly file: string;
  /** The recorded kernel. */
  readonly kernel: string;
  /** Family of the scenario. */
  readonly family: string;
  /** The steps of the script, with the numbers of their lines. */
  readonly lines: readonly { readonly line: number; readonly text: string }[];
  /** Every step on every level, pass by pass. */
  readonly results: readonly StepResult[];
  /** What the levels leave out, by the level's name. */
  readonly exclusions: Readonly<Record<string, readonly Exclusion[]>>;
}

/** Line of the result of a process's end. */
export const END_OF_PROCESS = '(the process ends)';

/**
 * Runs every pass of a recording and compares it.
 *
 * @param recording the recording
 * @param file its file, for messages and the family
 * @param factory makes the machines
 * @param levels what to compare; default: everything
 * @returns the results
 * @throws {InputError} when the recording's kernel is not modelled
 */
export async function verifyRecording(
  recording: Recording,
  file: string,
  factory: RecordedMachineFactory,
  levels: readonly Level[] = allLevels,
): Promise<RecordingResult> {
  checkKernel(recording, file);
  const scenario = recordedScenario(recording, file);
  const family = familyOf(recording, file);
  const results: StepResult[] = [];
  for (const pass of recording.runs) {
    const { kernel } = recording;
    const common = { file, kernel, family, pass: pass.pass };
    const verification = new PassVerification(recording, scenario, pass, levels);
    for (const result of await verification.run(factory)) results.push({ ...common, ...result });
  }
  const exclusions = levels.flatMap((level): [string, Exclusion[]][] =>
    level.exclusions ? [[level.name, level.exclusions(recording)]] : [],
  );
  return {
    ...{ file, kernel: recording.kernel, family, results },
    lines: scenario.steps.map(({ line, text }) => ({ line, text })),
    exclusions: Object.fromEntries(exclusions),
  };
}

type PassResult = Omit<StepResult, 'file' | 'kernel' | 'family' | 'pass'>;
type Outcome = Pick<PassResult, 'verdict' | 'differences' | 'reason'>;
/** Why no further step of a pass can be compared. */
type Stop = { readonly skipped: string } | { readonly failed: Difference };

/** The run of one pass. */
class PassVerification {
  readonly #recording: Recording;
  readonly #scenario: Scenario;
  readonly #pass: RecordedPass;
  readonly #levels: readonly Level[];
  readonly #hasLayout: boolean;
  readonly #results: PassResult[] = [];
  /** Notifications that the model's emulated devices have got. */
  #notified = 0;

  constructor(
    recording: Recording,
    scenario: Scenario,
    pass: RecordedPass,
    levels: readonly Level[],
  ) {
    this.#recording = recording;
    this.#scenario = scenario;
    this.#pass = pass;
    this.#hasLayout = pass.pass === 'trace' && scenario.layout;
    this.#levels = levels.filter(({ needsLayout }) => this.#hasLayout || !needsLayout);
  }

  async run(factory: RecordedMachineFactory): Promise<readonly PassResult[]> {
    const trace = this.#levels.some(({ needsTrace }) => needsTrace);
    const recordedMachine = factory(this.#recording, this.#pass, { trace });
    const runner = new StepRunner(recordedMachine.machine);
    const tracker = new StateTracker();
    let stop: Stop | undefined;
    for (const [index, recorded] of walkPass(this.#pass).entries()) {
      const step = this.#scenario.steps[index];
      if (!step) break;
      const shown =
        stop ??
        (await attempt(async () => {
          if (!step.modelled) return { skipped: `${step.op} is not modelled yet` };
          recordedMachine.beforeStep(index);
          return (await runner.run(step, index)).observation;
        }));
      if ('op' in shown) {
        this.#notified += shown.notify_total ?? 0;
        this.#compare(index, recorded, tracker.after(shown));
      } else this.#addStopped(index, recorded, (stop = shown));
    }
    await this.#end(recordedMachine, runner, stop);
    return this.#results;
  }

  #compare(index: number, recorded: StepState<RecordedStep>, model: StepState): void {
    const compared = { recording: this.#recording, hasLayout: this.#hasLayout, recorded, model };
    for (const level of this.#levels) {
      if (!level.applies(recorded)) continue;
      const differences = level.compare(compared);
      const verdict = differences.length > 0 ? 'failed' : 'passed';
      this.#add(index, recorded.shown.line, level.name, { verdict, differences });
    }
  }

  #addStopped(index: number, recorded: StepState<RecordedStep>, stop: Stop): void {
    for (const level of this.#levels) {
      if (level.applies(recorded)) this.#add(index, recorded.shown.line, level.name, outcome(stop));
    }
  }

  /** The end of the process, or of the kernel, counts as a step of level state. */
  async #end(
    recordedMachine: RecordedMachine,
    runner: StepRunner,
    stop: Stop | undefined,
  ): Promise<void> {
    if (!this.#levels.some(({ name }) => name === 'state')) return;
    const index = this.#pass.steps.length;
    const died = diedInBug(this.#pass);
    const step = this.#scenario.steps.at(index);
    if (died && step) {
      recordedMachine.beforeStep(index);
      const ended = stop ?? (await attemptBug(() => runner.run(step, index)));
      const lastWords = { ...recordedMachine.machine.died, notified: this.#notified };
      const result = 'bug' in ended ? compareLastWords(this.#pass, lastWords) : outcome(ended);
      this.#add(index, step.text, 'state', result);
      return;
    }
    if (hungInStep(this.#pass) && step) {
      recordedMachine.beforeStep(index);
      const ended = stop ?? (await attemptHang(() => runner.run(step, index)));
      this.#add(index, step.text, 'state', 'hang' in ended ? PASSED : outcome(ended));
      return;
    }
    const broke =
      this.#pass.broken === undefined ? undefined : { skipped: 'the recorded process died' };
    const ended = stop ?? broke ?? (await attempt(() => recordedMachine.machine.exit()));
    const result = typeof ended === 'number' ? comparePinsLeft(this.#pass, ended) : outcome(ended);
    this.#add(index, END_OF_PROCESS, 'state', result);
  }

  #add(step: number, line: string, level: string, result: Outcome): void {
    this.#results.push({ step, line, level, ...result });
  }
}

/** What is reported of a step that could not be done. */
function outcome(stop: Stop): Outcome {
  if ('failed' in stop) return { verdict: 'failed', differences: [stop.failed] };
  return { verdict: 'skipped', differences: [], reason: stop.skipped };
}

/**
 * Acts on the machine. What it cannot do, and says so with an InputError, is skipped; any other
 * error is a fault of the model, since the kernel went on.
 */
async function attempt<Value extends Observation | Stop | number>(
  act: () => Promise<Value>,
): Promise<Value | Stop> {
  try {
    return await act();
  } catch (error) {
    return stopOf(error);
  }
}

function stopOf(error: unknown): Stop {
  // The report names recording and step beside the reason.
  if (error instanceof InputError) {
    return { skipped: error.cause instanceof InputError ? error.cause.message : error.message };
  }
  const model = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { failed: { path: 'machine', recorded: 'went on', model } };
}

const PASSED: Outcome = { verdict: 'passed', differences: [] };

/** Does the step that never returned: it must not return in the model either. */
async function attemptHang(act: () => Promise<unknown>): Promise<Stop | { readonly hang: true }> {
  const recorded = 'never returned';
  try {
    await act();
    return { failed: { path: 'machine', recorded, model: 'went on' } };
  } catch (error) {
    if (error instanceof KernelHang) return { hang: true };
    const stop = stopOf(error);
    return 'failed' in stop ? { failed: { ...stop.failed, recorded } } : stop;
  }
}

/** Does the step in which the kernel died: the model's kernel must die in it too. */
async function attemptBug(act: () => Promise<unknown>): Promise<Stop | { readonly bug: true }> {
  try {
    await act();
    return { failed: { path: 'machine', recorded: 'BUG', model: 'went on' } };
  } catch (error) {
    const died = error instanceof KernelBug && !(error instanceof KernelHang);
    return died ? { bug: true } : stopOf(error);
  }
}
