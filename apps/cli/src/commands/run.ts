/** `pinfold run`: a scenario on the model. */
import { basename } from 'node:path';
import {
  explainRun,
  ModelMachine,
  parseScenario,
  runScenario,
  StateTracker,
  type Scenario,
  type ScenarioRun,
} from '@pinfold/scenario';
import { kernelVersion } from '@pinfold/vfio-type1';
import type { Command } from 'commander';
import { explanationText } from '../explanation-text.ts';
import { runTable } from '../run-table.ts';
import { kernelOption, readScenario, seedOption } from '../scenario-input.ts';
import { formatCount } from '../table.ts';
import { throwUsageErrors } from '../usage-error.ts';

/** Format of the JSON: its steps are those of recordings. */
const FORMAT = 'pinfold-run/1';

/** The command's flags, read. */
interface RunFlags {
  readonly kernel: string;
  readonly seed: number;
  readonly json?: boolean;
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
        'the given seed.',
    )
    .argument('<file>', 'the scenario, or - for standard input')
    .addOption(kernelOption())
    .addOption(seedOption())
    .option('--json', 'print the steps as JSON, in the shape of the recordings')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold run slow-start.scn\n' +
        '  pinfold run --kernel 6.16 --json slow-start.scn\n' +
        "  printf 'open type=v2\\ninfo\\n' | pinfold run -",
    )
    .action(run);
  throwUsageErrors(command);
}

async function run(file: string, flags: RunFlags): Promise<void> {
  const { name, script } = readScenario(file);
  const scenario = parseScenario(script, name);
  const machine = new ModelMachine({
    kernel: kernelVersion(flags.kernel),
    buddy: { seed: flags.seed },
  });
  const done = await runScenario(scenario, machine);
  process.stdout.write(
    flags.json ? jsonText(scenario, script, done, flags) : text(scenario, done, flags),
  );
}

function text({ title }: Scenario, { steps, pinsLeft }: ScenarioRun, flags: RunFlags): string {
  const tracker = new StateTracker();
  const rows = steps.map((done) => ({ ...done, table: tracker.after(done.observation).table }));
  const heading = `Linux ${flags.kernel}${title && `: ${title}`}`;
  const left = pinsLeft === 0 ? '' : `\n${formatCount(pinsLeft)} pages are still pinned\n`;
  const why = explainRun({ steps, pinsLeft }).filter(({ errno }) => errno !== null);
  const reasons = why.map((one) => `\n${explanationText(one, flags.kernel)}`).join('');
  return `${heading}\n\n${runTable(rows)}${left}${reasons}`;
}

function jsonText(
  { file, title }: Scenario,
  script: string,
  { steps, pinsLeft }: ScenarioRun,
  { kernel, seed }: RunFlags,
): string {
  const run = {
    format: FORMAT,
    scenario: basename(file).replace(/\.scn$/, ''),
    title,
    kernel,
    seed,
    script: script.replace(/\r?\n$/, '').split(/\r?\n/),
    steps: steps.map(({ step, observation: { op, ...shown } }) => ({
      op,
      line: step.text,
      ...shown,
    })),
    pins_left: pinsLeft,
  };
  return `${JSON.stringify(run, null, 2)}\n`;
}
