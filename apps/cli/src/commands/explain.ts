/** `pinfold explain`: why the steps of a scenario failed, and what went wrong without an error. */
import {
  assumedMachine,
  explainWhilePossible,
  ModelMachine,
  parseScenario,
  type Explanation,
} from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import type { Scenario } from '@pinfold/scenario';
import type { Command } from 'commander';
import { chosenAlgorithm, fileOptions } from '../algorithm-flags.ts';
import { explanationText, notDoneText } from '../explanation-text.ts';
import { foldExplanations } from '../fold-repeats.ts';
import { kernelFor, kernelOption, readScenario, seedOption } from '../scenario-input.ts';
import { print } from '../output.ts';
import { wrapped } from '../table.ts';
import { hostOf, hostOption, machineText } from '../machine-input.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** The command's flags, read. */
interface ExplainFlags {
  readonly seed: number;
  readonly json?: boolean;
  readonly host?: string;
  readonly file?: string;
  readonly patience: number;
}

/** What the command has found. */
interface ExplainedScenario {
  readonly kernel: string;
  /** The algorithm, if it is one of the user's own. */
  readonly algorithm?: string;
  readonly title: string;
  readonly explanations: readonly Explanation[];
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addExplain(program: Command): void {
  const command = program
    .command('explain')
    .summary('say why the steps of a scenario fail')
    .description(
      'Runs a scenario on the model and says of every step that fails which check of which ioctl ' +
        'refused it, with which values and against which earlier mapping or limit, and what other ' +
        'releases make of it. Says too what succeeds without doing what one would expect: an unmap ' +
        'of nothing, memory that is locked twice, huge pages in small IOPTEs.',
    )
    .argument('<file>', 'the scenario, or - for standard input')
    .addOption(kernelOption())
    .addOption(seedOption())
    .addOption(hostOption());
  for (const option of fileOptions()) command.addOption(option);
  command
    .option('--json', 'print the explanations as JSON')
    .addHelpText(
      'after',
      "\nExample:\n  printf 'open type=v2\\nmap iova=0 va=0 size=4K\\n' | pinfold explain -",
    )
    .action(explain);
  throwUsageErrors(command);
}

async function explain(file: string, flags: ExplainFlags, command: Command): Promise<void> {
  const { name, script } = readScenario(file);
  const scenario = parseScenario(script, name);
  const host = hostOf(flags.host);
  const { kernel, standIn } = kernelFor(scenario, command, host);
  const machine = assumedMachine(scenario, host);
  const { facts } = machine;
  const own = await chosenAlgorithm(flags, kernel);
  const { explanations, done, stopped } = await explainWhilePossible(
    scenario,
    kernelVersion(kernel),
    // Other releases are those that one may have: with their own algorithms.
    (release) =>
      new ModelMachine({
        ...{ kernel: release, facts, buddy: { seed: flags.seed } },
        ...(own && release === kernelVersion(kernel) && { type1: { pinAlgorithm: own } }),
      }),
  );
  if (stopped && done === 0 && !flags.json) throw stopped;
  const remarks = machineText(machine, standIn);
  const algorithm = own && { algorithm: own.name };
  const result = { kernel, ...algorithm, title: scenario.title, explanations };
  const said = {
    ...(standIn !== '' && { standIn }),
    ...(machine.isAssumed && { assumedMachine: machine.summary }),
    ...(machine.fitted.length > 0 && { fitted: machine.fitted }),
  };
  print(
    flags.json
      ? `${JSON.stringify({ ...result, ...said, ...(stopped && { stopped: stopped.message }) }, null, 2)}\n`
      : text(result, remarks, allWell(scenario, done)) +
          (stopped ? notDoneText(scenario, done) : ''),
  );
  if (stopped) throw stopped;
}

function text(
  { kernel, algorithm, title, explanations }: ExplainedScenario,
  remarks: string,
  otherwise: string,
): string {
  const name = algorithm === undefined ? '' : ` with ${algorithm}`;
  const heading = wrapped(`Linux ${kernel}${name}${title && `: ${title}`}`, '  ', '') + remarks;
  if (explanations.length === 0) return `${heading}\n${otherwise}\n`;
  return `${heading}\n${foldExplanations(explanations)
    .map((one) => explanationText(one, kernel))
    .join('\n')}`;
}

/** What there is to say where nothing has to be explained. */
function allWell({ steps }: Scenario, done: number): string {
  const next = steps.at(done);
  if (!next) return 'Every step did what it was asked for.';
  return done === 1
    ? `The step before line ${next.line} did what it was asked for.`
    : `The ${done} steps before line ${next.line} did what they were asked for.`;
}
