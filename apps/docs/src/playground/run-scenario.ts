/** Runs a scenario of the user's on a release, and on the others to compare. */
import { KernelBug } from '@pinfold/base';
import { auditScenario, INVARIANTS } from '@pinfold/check';
import { END_OF_PROCESS } from '@pinfold/conformance';
import {
  CallRecorder,
  DEFAULT_MACHINE,
  explainRun,
  factsOfLine,
  functionGraph,
  ModelMachine,
  parseScenario,
  type Explanation,
  type StepCalls,
  type GuestRun,
  type GuestScenario,
  type GuestStep,
} from '@pinfold/guest';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { runScenario, StepRunner, StateTracker } from '@pinfold/scenario';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { FILE, type RunOutcome, type ScenarioRequest, type StepOutcome } from './outcome.ts';

/**
 * Runs a scenario.
 *
 * @param request the scenario, and what it runs on
 * @returns what each step did, called and why
 * @throws {InputError} when the scenario cannot be read or a step cannot be done
 */
export async function runUserScenario(request: ScenarioRequest): Promise<RunOutcome> {
  const scenario = parseScenario(request.script, FILE);
  const { steps, calls, pinsLeft, crash } = await runTraced(scenario, request);
  const explanations = explainRun({ steps, pinsLeft: 0 }, await onOtherReleases(request));
  return {
    script: request.script,
    title: scenario.title,
    steps: stepsOf(steps, calls, explanations),
    pinsLeft,
    findings: [...(crash === null ? [] : [crash]), ...auditOf(scenario, request)],
  };
}

/** A run that may have ended in a crash of the kernel. */
interface TracedRun {
  readonly steps: readonly GuestStep[];
  /** The calls of each step, and those of the end. */
  readonly calls: readonly StepCalls[];
  /** Null after a crash. */
  readonly pinsLeft: number | null;
  readonly crash: string | null;
}

async function runTraced(scenario: GuestScenario, request: ScenarioRequest): Promise<TracedRun> {
  const tracer = new CallRecorder();
  const machine = new ModelMachine({
    kernel: kernelVersion(request.kernel),
    facts: factsOfLine(scenario.machine, DEFAULT_MACHINE),
    tracer,
    ...(request.algorithm !== null && { type1: { pinAlgorithm: pinAlgorithm(request.algorithm) } }),
  });
  const runner = new StepRunner(machine);
  const steps: GuestStep[] = [];
  const calls: StepCalls[] = [];
  try {
    for (const [index, step] of scenario.steps.entries()) {
      const { done, isLast } = await runner.runToDeath(step, index);
      steps.push(done);
      calls.push(tracer.take());
      if (isLast) return { steps, calls, pinsLeft: null, crash: `The kernel dies: ${step.text}` };
    }
    const pinsLeft = await machine.exit();
    return { steps, calls: [...calls, tracer.take()], pinsLeft, crash: null };
  } catch (error) {
    if (!(error instanceof KernelBug)) throw error;
    const at = scenario.steps.at(steps.length)?.text ?? END_OF_PROCESS;
    return { steps, calls, pinsLeft: null, crash: `The kernel dies: ${at}: ${error.message}` };
  }
}

/** What the scenario's `audit` line has found, if it has one. */
function auditOf(scenario: GuestScenario, { kernel, algorithm }: ScenarioRequest): string[] {
  if (!scenario.audit) return [];
  const version = kernelVersion(kernel);
  const { found, at, known } = auditScenario(
    {
      kernel: version,
      algorithm: algorithm === null ? version.type1.pinAlgorithm : pinAlgorithm(algorithm),
      against: pinAlgorithm(scenario.audit.against),
    },
    scenario,
  );
  const line = scenario.steps.at(at)?.line;
  const place = line === undefined ? 'at the end' : `after line ${line}`;
  const wrong = found ? [`Violated ${place}: ${INVARIANTS[found.invariant]}. ${found.what}.`] : [];
  const others = known.map((one) => `As on recorded kernels: ${one.known ?? ''}. ${one.what}.`);
  const kept = wrong.length + others.length === 0 ? ['Audit: every rule holds.'] : [];
  return [...wrong, ...others, ...kept];
}

/** With an algorithm of its own a release has nothing to be compared with. */
async function onOtherReleases(request: ScenarioRequest): Promise<Map<string, GuestRun>> {
  const runs = new Map<string, GuestRun>();
  if (request.algorithm !== null) return runs;
  const { series } = kernelVersion(request.kernel);
  for (const kernel of kernelVersions) {
    if (kernel.series === series) continue;
    const scenario = parseScenario(request.script, FILE);
    const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
    runs.set(kernel.series, await runScenario(scenario, new ModelMachine({ kernel, facts })));
  }
  return runs;
}

function stepsOf(
  steps: readonly GuestStep[],
  calls: readonly StepCalls[],
  explanations: readonly Explanation[],
): StepOutcome[] {
  const tracker = new StateTracker();
  const done = steps.map(({ index, step, observation }): StepOutcome => {
    const { table } = tracker.after(observation);
    return {
      ...{ line: step.line, text: step.text, model: { observation, table }, recorded: null },
      ...callsOf(calls[index]),
      explanation: explanations.find((one) => one.index === index) ?? null,
      levels: [],
    };
  });
  const end = callsOf(calls[steps.length]);
  if (end.events === 0) return done;
  const nothing = { model: null, recorded: null, explanation: null, levels: [] };
  return [...done, { line: 0, text: END_OF_PROCESS, ...nothing, ...end }];
}

function callsOf(made: StepCalls | undefined): Pick<StepOutcome, 'calls' | 'events'> {
  return { calls: made ? functionGraph(made) : [], events: made?.events ?? 0 };
}
