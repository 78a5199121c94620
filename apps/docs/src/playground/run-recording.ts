/** Runs a recorded scenario on the model, with what the real kernel did beside it. */
import {
  modelMachineForPass,
  readRecording,
  recordedScenario,
  verifyRecording,
  walkPass,
  type ByteReader,
  type RecordedPass,
  type Recording,
  type RecordingResult,
  type StepResult,
} from '@pinfold/conformance';
import { explainRun, type Explanation, type Operation, type GuestStep } from '@pinfold/guest';
import { StateTracker, type Machine, type Observation, type StepState } from '@pinfold/scenario';
import type { LevelOutcome, RecordingRequest, RunOutcome, StepOutcome } from './outcome.ts';

/** What a machine was asked for, and what it showed. */
interface Seen {
  readonly operation: Operation;
  readonly observation: Observation;
}

/** A machine that lets everything through and keeps it. */
class SeenMachine implements Machine {
  readonly seen: Seen[] = [];
  pinsLeft: number | null = null;
  readonly #machine: Machine;

  /** @param machine does the operations */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** What is left to see of a kernel that has died. */
  get died(): Observation | undefined {
    return this.#machine.died;
  }

  async perform(operation: Operation): Promise<Observation> {
    const observation = await this.#machine.perform(operation);
    this.seen.push({ operation, observation });
    return observation;
  }

  async exit(): Promise<number> {
    return (this.pinsLeft = await this.#machine.exit());
  }
}

/**
 * Runs a recording and compares it with the kernel.
 *
 * @param request the recording, and the release of the model
 * @param read fetches a recording's bytes
 * @returns the steps of the pass that shows most, with the verdict of every level
 * @throws {InputError} when the recording cannot be read
 */
export async function runRecording(
  { recorded, name, kernel }: RecordingRequest,
  read: ByteReader,
): Promise<RunOutcome> {
  const file = `${recorded}/${name}`;
  const recording = await readRecording(file, read);
  const asked = recorded.startsWith(`${kernel}.`) ? recording : { ...recording, kernel };
  const machines = new Map<RecordedPass, SeenMachine>();
  const result = await verifyRecording(asked, file, (of, pass, options) => {
    const made = modelMachineForPass(of, pass, options);
    const machine = new SeenMachine(made.machine);
    machines.set(pass, machine);
    return { ...made, machine, beforeStep: (index) => made.beforeStep(index) };
  });
  const pass = recording.runs.find((run) => run.pass === 'trace') ?? recording.runs[0];
  const machine = pass && machines.get(pass);
  return {
    ...{ script: `${recording.script.join('\n')}\n`, title: recording.title },
    ...{ steps: pass && machine ? stepsOf(recording, pass, machine, result) : [] },
    pinsLeft: machine?.pinsLeft ?? null,
    findings: [],
  };
}

function stepsOf(
  recording: Recording,
  pass: RecordedPass,
  { seen, died }: SeenMachine,
  result: RecordingResult,
): StepOutcome[] {
  const { steps } = recordedScenario(recording, recording.scenario);
  const done = seen.flatMap((shown, index): GuestStep[] => {
    const step = steps[index];
    return step ? [{ index, step, ...shown }] : [];
  });
  const explanations = explainRun({ steps: done, pinsLeft: 0 });
  const tracker = new StateTracker();
  const model = done.map(({ observation }) => tracker.after(observation));
  const recorded = walkPass(pass);
  const compared = result.results.filter((one) => one.pass === pass.pass);
  const count = Math.max(...compared.map(({ step }) => step + 1), recorded.length);
  return Array.from({ length: count }, (_, index) =>
    stepOf(index, {
      ...{ line: steps[index]?.line ?? 0, text: compared.find((one) => one.step === index)?.line },
      ...{ model: model[index], died: index === done.length ? died : undefined },
      ...{ recorded: recorded[index], explanations },
      compared: compared.filter((one) => one.step === index),
    }),
  );
}

interface StepParts {
  readonly line: number;
  readonly text: string | undefined;
  readonly model: StepState | undefined;
  readonly died: Observation | undefined;
  readonly recorded: StepState | undefined;
  readonly explanations: readonly Explanation[];
  readonly compared: readonly StepResult[];
}

function stepOf(index: number, parts: StepParts): StepOutcome {
  const { line, text = '', model, died, recorded, explanations, compared } = parts;
  const observation = model?.shown ?? died;
  return {
    ...{ line, text },
    model: observation ? { observation, table: model?.table } : null,
    recorded: recorded ? { observation: recorded.shown, table: recorded.table } : null,
    calls: observation?.trace ?? [],
    events: observation?.trace_total ?? 0,
    explanation: explanations.find((one) => one.index === index) ?? null,
    levels: compared.map(levelOutcome),
  };
}

function levelOutcome({ level, verdict, differences, reason }: StepResult): LevelOutcome {
  const differing = differences.map(
    ({ path, recorded, model }) => `${path}: kernel ${shown(recorded)}, model ${shown(model)}`,
  );
  return { level, verdict, details: reason === undefined ? differing : [reason] };
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
