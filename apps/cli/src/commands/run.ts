/** `pinfold run`: a scenario on the model. */
import { basename } from 'node:path';
import { InputError } from '@pinfold/base';
import { DEFAULT_IOMMU } from '@pinfold/bench';
import { auditScenario } from '@pinfold/check';
import {
  CallRecorder,
  assumedMachine,
  explainFailures,
  ModelMachine,
  parseScenario,
  type StepCalls,
  type GuestRun,
  type GuestScenario,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runWhilePossible, StateTracker } from '@pinfold/scenario';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import { Option, type Command } from 'commander';
import {
  algorithmOption,
  chosenAlgorithm,
  fileOptions,
  type AlgorithmFlags,
} from '../algorithm-flags.ts';
import { auditJson, auditText, EXIT_VIOLATION, type Audited } from '../audit-text.ts';
import { explanationText, notDoneText } from '../explanation-text.ts';
import { callsText, writePerfetto } from '../run-calls.ts';
import { stepJson } from '../run-json.ts';
import { foldExplanations, foldRows } from '../fold-repeats.ts';
import { runTable } from '../run-table.ts';
import { forFlag, list, oneOf } from '../flags.ts';
import { runOn, TARGETS, type Target } from '../run-on.ts';
import { checkOutput } from '../read-file.ts';
import { kernelFor, kernelOption, readScenario, seedOption } from '../scenario-input.ts';
import { formatCount, wrapped } from '../table.ts';
import { print, terminalColumns } from '../output.ts';
import { iommuOption } from '../measuring.ts';
import { hostOf, hostOption, machineText } from '../machine-input.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** Format of the JSON: its steps are those of recordings. */
const FORMAT = 'pinfold-run/1';

/** The command's flags, read. */
interface RunFlags extends AlgorithmFlags {
  readonly kernel: string;
  readonly seed: number;
  readonly json?: boolean;
  readonly trace?: boolean;
  readonly perfetto?: string;
  readonly iommu?: string;
  readonly on?: readonly Target[];
  readonly host?: string;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('run a scenario on the model, step by step')
    .description(
      'Runs a scenario (op key=value ..., one step per line) on the model and shows what every ' +
        'step returned, pinned, locked and mapped, which kernel functions it called, and why it ' +
        'failed. The machine is that of the recordings; frames come from a buddy allocator with ' +
        'the given seed. A line with repeat=N stands for N steps, in whose values 8K*i is a number ' +
        'times the number of the step, from 0.',
    )
    .argument('<file>', 'the scenario, or - for standard input')
    .addOption(kernelOption())
    .addOption(seedOption())
    .addOption(iommuOption("that of the scenario's machine line, or " + DEFAULT_IOMMU))
    .addOption(hostOption())
    .addOption(algorithmOption());
  for (const option of fileOptions()) command.addOption(option);
  command
    .option(
      '--json',
      'print the steps as JSON, in the shape of the recordings; of tables and layouts of more than ' +
        '256 runs, what has changed (iommu.changed, layout_changed)',
    )
    .addOption(
      new Option(
        '--on <list>',
        'run it on several side by side: type1, compat (the container that iommufd serves), iommufd (its own calls)',
      ).argParser((text) => list(text, (item) => oneOf(item, '--on', TARGETS))),
    )
    .option('--trace', 'show the calls of each step, as ftrace draws a function graph')
    .option('--perfetto <file>', 'write the calls to a file that ui.perfetto.dev opens')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold run slow-start.scn\n' +
        '  pinfold run --trace --perfetto slow-start.json slow-start.scn\n' +
        '  pinfold run --kernel 6.16 --json slow-start.scn\n' +
        '  pinfold run --on type1,compat,iommufd slow-start.scn\n' +
        '  pinfold run --file my-algorithm.ts slow-start.scn\n' +
        "  printf 'open type=v2\\ninfo\\n' | pinfold run -",
    )
    .action(run);
  throwUsageErrors(command);
}

async function run(file: string, written: RunFlags, command: Command): Promise<void> {
  const { name, script } = readScenario(file);
  if (written.perfetto !== undefined) {
    checkOutput('--perfetto', written.perfetto, [file, written.file]);
  }
  const scenario = withIommu(parseScenario(script, name), written.iommu);
  const { kernel, standIn } = kernelFor(scenario, command, hostOf(written.host));
  const flags = { ...written, kernel };
  const remarks = machineText(assumedMachine(scenario, hostOf(written.host)), standIn);
  if (flags.on) {
    checkAlone(flags);
    print(await runOn(scenario, script, flags.on, flags));
    return;
  }
  const algorithm = await chosenAlgorithm(flags, flags.kernel);
  const audited = auditOf(scenario, flags, algorithm);
  if (audited?.outcome.found) process.exitCode = EXIT_VIOLATION;
  const heading = headingOf(scenario, flags, algorithm);
  const traced = await runAudited(scenario, flags, algorithm, audited);
  if (!traced) {
    print(
      flags.json
        ? jsonText(scenario, script, null, [], flags, algorithm, audited)
        : `${heading}\n${auditText(audited)}`,
    );
    return;
  }
  const { done, calls } = traced;
  // Nothing was done that could be shown.
  if (done.stopped && done.steps.length === 0 && !flags.json) throw done.stopped;
  const shown = flags.trace ? calls : [];
  const notDone = done.stopped ? notDoneText(scenario, done.steps.length) : '';
  print(
    flags.json
      ? jsonText(scenario, script, done, shown, flags, algorithm, audited)
      : text(heading, remarks, done, flags) +
          callsText(done.steps, shown) +
          auditText(audited) +
          notDone,
  );
  // What was found is printed, whatever becomes of the file.
  if (flags.perfetto !== undefined) {
    writePerfetto(flags.perfetto, heading, done.steps, calls);
  }
  if (done.stopped) throw done.stopped;
}

/** Algorithms and traces are of one run. */
function checkAlone({ algorithm, file, trace, perfetto }: RunFlags): void {
  const others = {
    '--algorithm': algorithm,
    '--file': file,
    '--trace': trace,
    '--perfetto': perfetto,
  };
  for (const [flag, value] of Object.entries(others)) {
    if (value !== undefined) throw new InputError('--on', 'a run of its own', `${flag} besides`);
  }
}

/** The scenario on a machine with an IOMMU of the flag's kind; its own line cannot say another. */
function withIommu(scenario: GuestScenario, iommu: string | undefined): GuestScenario {
  if (iommu === undefined) return scenario;
  const { file, machine } = scenario;
  if (machine.iommu !== undefined && machine.iommu !== iommu) {
    const expected = `${machine.iommu}, as the machine line of ${file} says`;
    throw new InputError('--iommu', expected, `'${iommu}'`);
  }
  return { ...scenario, machine: { ...machine, iommu } };
}

/** Runs a scenario with an `audit` line beside its reference, on machines of their own. */
function auditOf(
  scenario: GuestScenario,
  flags: RunFlags,
  algorithm: PinAlgorithm | null,
): Audited | null {
  if (!scenario.audit) return null;
  const kernel = kernelVersion(flags.kernel);
  const against = forFlag(`${scenario.file}: audit`, scenario.audit.against, pinAlgorithm);
  const checked = { kernel, against, algorithm: algorithm ?? kernel.type1.pinAlgorithm };
  try {
    return { scenario, outcome: auditScenario(checked, scenario) };
  } catch (error) {
    // A step that cannot be done stops the run too, which says where.
    if (error instanceof InputError) return null;
    throw error;
  }
}

/** Runs a scenario; null if it cannot be run to its end because of what its audit has found. */
async function runAudited(
  scenario: GuestScenario,
  flags: RunFlags,
  algorithm: PinAlgorithm | null,
  audited: Audited | null,
): Promise<{ done: GuestRun; calls: readonly StepCalls[] } | null> {
  try {
    return await runTraced(scenario, flags, algorithm);
  } catch (error) {
    if (audited?.outcome.found) return null;
    throw error;
  }
}

/** Runs a scenario; its calls, if anyone wants them, are those of each step and of the end. */
async function runTraced(
  scenario: GuestScenario,
  { kernel, seed, trace, perfetto, host }: RunFlags,
  pinAlgorithm: PinAlgorithm | null,
): Promise<{ done: GuestRun; calls: readonly StepCalls[] }> {
  const tracer = trace || perfetto !== undefined ? new CallRecorder() : null;
  const machine = new ModelMachine({
    kernel: kernelVersion(kernel),
    facts: assumedMachine(scenario, hostOf(host)).facts,
    buddy: { seed },
    ...(tracer && { tracer }),
    ...(pinAlgorithm && { type1: { pinAlgorithm } }),
  });
  const calls: StepCalls[] = [];
  const take = (): void => {
    if (tracer) calls.push(tracer.take());
  };
  const done = await runWhilePossible(scenario, machine, { onStep: take });
  take();
  return { done, calls };
}

function headingOf(
  { title }: GuestScenario,
  { kernel, iommu }: RunFlags,
  algorithm: PinAlgorithm | null,
): string {
  const name = algorithm ? ` with ${algorithm.name}` : '';
  const unit = iommu === undefined ? '' : `, IOMMU ${iommu}`;
  return `Linux ${kernel}${name}${unit}${title && `: ${title}`}`;
}

function text(
  heading: string,
  remarks: string,
  { steps, pinsLeft, stopped }: GuestRun,
  flags: RunFlags,
): string {
  const tracker = new StateTracker();
  const rows = foldRows(
    steps.map((done) => ({ ...done, table: tracker.after(done.observation).table })),
  );
  const left =
    pinsLeft === 0 || stopped ? '' : `\n${formatCount(pinsLeft)} pages are still pinned\n`;
  const why = explainFailures({ steps, pinsLeft });
  const reasons = foldExplanations(why)
    .map((one) => `\n${explanationText(one, flags.kernel)}`)
    .join('');
  const failed = steps.filter(({ observation }) => observation.errno !== null);
  const lines = [...new Set(failed.map(({ step }) => step.line))].join(', ');
  const verdict = `${formatCount(failed.length)} of ${formatCount(steps.length)} steps failed: line ${lines}.`;
  const refused = failed.length > 0 ? `\n${wrapped(verdict, '')}` : '';
  const table = rows.length > 0 ? `\n${runTable(rows, terminalColumns())}` : '';
  return `${wrapped(heading, '  ', '')}${remarks}${table}${left}${refused}${reasons}`;
}

function jsonText(
  { file, title }: GuestScenario,
  script: string,
  done: GuestRun | null,
  calls: readonly StepCalls[],
  { kernel, seed, iommu }: RunFlags,
  algorithm: PinAlgorithm | null,
  audited: Audited | null,
): string {
  const run = {
    format: FORMAT,
    scenario: basename(file).replace(/\.scn$/, ''),
    title,
    kernel,
    ...(algorithm && { algorithm: algorithm.name }),
    ...(iommu !== undefined && { iommu }),
    seed,
    script: script.replace(/\r?\n$/, '').split(/\r?\n/),
    // Without steps where the run did not come to its end.
    ...(done && {
      steps: done.steps.map((step, index) => stepJson(step, calls.at(index))),
      pins_left: done.pinsLeft,
      ...(done.stopped && { stopped: done.stopped.message }),
    }),
    ...(audited && { audit: auditJson(audited) }),
  };
  return `${JSON.stringify(run, null, 2)}\n`;
}
