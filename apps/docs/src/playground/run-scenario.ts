/** Runs a scenario of the user's on a release, and on the others to compare. */
import {
  CallRecorder,
  DEFAULT_FACTS,
  END_OF_PROCESS,
  explainRun,
  factsOfLine,
  functionGraph,
  ModelMachine,
  parseScenario,
  runScenario,
  StateTracker,
  type Explanation,
  type ScenarioRun,
  type StepCalls,
} from '@pinfold/scenario';
import { kernelVersion, kernelVersions, pinAlgorithm } from '@pinfold/vfio-type1';
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
  const tracer = new CallRecorder();
  const calls: StepCalls[] = [];
  const algorithm = request.algorithm;
  const machine = new ModelMachine({
    kernel: kernelVersion(request.kernel),
    facts: factsOfLine(scenario.machine, DEFAULT_FACTS),
    tracer,
    ...(algorithm !== null && { type1: { pinAlgorithm: pinAlgorithm(algorithm) } }),
  });
  const run = await runScenario(scenario, machine, { onStep: () => calls.push(tracer.take()) });
  calls.push(tracer.take());
  const explanations = explainRun(run, await onOtherReleases(request));
  return {
    script: request.script,
    title: scenario.title,
    steps: stepsOf(run, calls, explanations),
    pinsLeft: run.pinsLeft,
  };
}

/** With an algorithm of its own a release has nothing to be compared with. */
async function onOtherReleases(request: ScenarioRequest): Promise<Map<string, ScenarioRun>> {
  const runs = new Map<string, ScenarioRun>();
  if (request.algorithm !== null) return runs;
  const { series } = kernelVersion(request.kernel);
  for (const kernel of kernelVersions) {
    if (kernel.series === series) continue;
    const scenario = parseScenario(request.script, FILE);
    const facts = factsOfLine(scenario.machine, DEFAULT_FACTS);
    runs.set(kernel.series, await runScenario(scenario, new ModelMachine({ kernel, facts })));
  }
  return runs;
}

function stepsOf(
  { steps }: ScenarioRun,
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
