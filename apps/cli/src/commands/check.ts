/** `pinfold check`: looks for a sequence on which a pin algorithm goes wrong. */
import { accessSync, constants } from 'node:fs';
import { join, sep } from 'node:path';
import { InputError } from '@pinfold/base';
import {
  DEFAULT_CHECK_KERNEL,
  DEFAULT_CHECK_RUNS,
  type CheckOptions,
  type Grade,
} from '@pinfold/check';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import type { Command } from 'commander';
import {
  algorithmOption,
  chosenAlgorithm,
  fileOptions,
  releaseOfBase,
  type AlgorithmFlags,
} from '../algorithm-flags.ts';
import { EXIT_VIOLATION } from '../audit-text.ts';
import { checkJson, checkText, fileNameOf, quoted } from '../check/check-text.ts';
import { checkFormats, type CheckFormat } from '../check/check-formats.ts';
import {
  allowOption,
  checkUntilEnded,
  seedOption,
  timeOption,
  workersOption,
} from '../check/check-run.ts';
import { count, flag, forFlag, oneOf } from '../flags.ts';
import { print, terminalColumns } from '../output.ts';
import { reportError } from '../report-error.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { makeFolders, replaceFile } from '../write-file.ts';

const MAX_RUNS = 100_000_000;
const FORMATS = Object.keys(checkFormats) as CheckFormat[];
const REFERENCE = 'batched';
/** The command's flags, read. */
interface CheckFlags extends AlgorithmFlags {
  readonly kernel?: string;
  readonly against: PinAlgorithm;
  readonly runs: number;
  readonly sequence?: number;
  readonly from?: number;
  readonly seed: number;
  readonly allow: readonly Grade[];
  readonly workers: number;
  readonly out: string;
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly format?: CheckFormat;
  readonly time?: number;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .summary('look for a sequence on which a pin algorithm goes wrong')
    .description(
      'Runs random sequences of operations on memory with boundary cases, looks after every step ' +
        'whether all invariants hold, and compares with a reference. For each invariant that is ' +
        'violated it writes the smallest sequence that shows it to a scenario file, which ' +
        'pinfold run replays; the exit code is 1 then. Ctrl-C ends it with what was found so far, ' +
        'and exit code 130.',
    )
    .addOption(algorithmOption());
  for (const option of fileOptions()) command.addOption(option);
  command
    .addOption(
      flag(
        '--kernel <name>',
        'the release whose rules hold (default: the base of --file if it is one, or 6.16); alone: ' +
          'check its algorithm',
        (text) => {
          forFlag('--kernel', text, kernelVersion);
          return text;
        },
      ),
    )
    .addOption(
      flag('--against <name>', 'the reference', (text, place) =>
        forFlag(place, text, pinAlgorithm),
      ).default(pinAlgorithm(REFERENCE), REFERENCE),
    )
    .addOption(
      flag('--runs <n>', 'sequences at most', (text, place) =>
        count(text, place, MAX_RUNS),
      ).default(DEFAULT_CHECK_RUNS),
    )
    .addOption(
      flag(
        '--from <n>',
        'number of the first sequence, to share the work out (default: 0)',
        sequenceNumber,
      ),
    )
    .addOption(
      flag('--sequence <n>', 'run this sequence only, as the JSON numbers them', sequenceNumber),
    )
    .addOption(seedOption())
    .addOption(workersOption())
    .addOption(allowOption())
    .option('--out <dir>', 'where the scenario files go', '.')
    .option('--strict', 'exit with 1 for what the recorded kernels do wrong too')
    .option('--json', 'print the report as JSON')
    .addOption(
      flag(
        '--format <name>',
        `print the report for continuous integration: ${FORMATS.join(', ')}`,
        (text, place) => oneOf(text, place, FORMATS),
      ),
    )
    .addOption(timeOption())
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold check --algorithm hugetlb-v1-2025\n' +
        '  pinfold check --file my-algorithm.ts --runs 100000 --out findings\n' +
        '  pinfold check --file my-algorithm.ts --from 100000 --runs 100000 --time 30m\n' +
        '  pinfold check --kernel 6.16 --strict',
    )
    .action(check);
  throwUsageErrors(command);
}

async function check(flags: CheckFlags): Promise<void> {
  if (flags.json && flags.format)
    throw new InputError('--format', 'no --json beside it', `'${flags.format}'`);
  const options = await optionsOf(flags);
  forOut(() => {
    makeFolder(flags.out);
  });
  const { file } = flags;
  const { report, failure, ended, exitCode } = await checkUntilEnded(options, flags);
  // A mistake in the file is all there is to say where nothing was found before it.
  if (failure && report.findings.length === 0) throw failure;
  const shown = [...report.findings, ...(flags.strict ? report.known : [])];
  const files = shown.map((finding, i) => join(flags.out, fileNameOf(report, finding, i)));
  if (flags.format) print(checkFormats[flags.format](report, files, file));
  else if (flags.json) print(checkJson(report, files, ended !== ''));
  else print(checkText(report, replayOf(flags), files, ended, terminalColumns()));
  if (shown.length > 0) process.exitCode = EXIT_VIOLATION;
  if (exitCode !== null) process.exitCode = exitCode;
  // The findings are out: none is lost because its file cannot be written.
  shown.forEach(({ scenario }, i) => {
    writeScenario(files[i], scenario, flags.json === true || flags.format !== undefined);
  });
  if (failure) throw failure;
}

async function optionsOf(flags: CheckFlags): Promise<Required<CheckOptions>> {
  const { kernel: name, against, seed, allow } = flags;
  const own = await chosenAlgorithm(flags, name ?? DEFAULT_CHECK_KERNEL);
  const kernel = kernelVersion(name ?? releaseOfBase(own) ?? DEFAULT_CHECK_KERNEL);
  const algorithm = own ?? (name === undefined ? null : kernel.type1.pinAlgorithm);
  if (!algorithm) {
    throw new InputError('check', '--algorithm, --file or --kernel', 'none of them');
  }
  return { algorithm, against, kernel, seed, allow, ...rangeOf(flags) };
}

/** Which sequences are run. */
function rangeOf({ runs, from, sequence }: CheckFlags): { runs: number; from: number } {
  if (sequence === undefined) return { runs, from: from ?? 0 };
  if (from !== undefined)
    throw new InputError('--sequence', 'no --from beside it', String(sequence));
  return { runs: 1, from: sequence };
}

/** The number of a sequence, from 0. */
function sequenceNumber(text: string, place: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Infinity;
  if (value < MAX_RUNS) return value;
  throw new InputError(place, `a whole number from 0 to ${MAX_RUNS - 1}`, `'${text}'`);
}

/** The flags with which `pinfold run` does the same. */
function replayOf({ algorithm, file, kernel }: CheckFlags): string {
  return [
    'pinfold run',
    ...(kernel === undefined ? [] : [`--kernel ${kernel}`]),
    ...(algorithm ? [`--algorithm ${algorithm.name}`] : []),
    ...(file === undefined ? [] : [`--file ${quoted(file)}`]),
  ].join(' ');
}

/** Writes the file of a finding; what cannot be written is printed, unless the JSON has it. */
function writeScenario(file: string, scenario: string, isPrinted: boolean): void {
  try {
    replaceFile(file, scenario);
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    reportError(new InputError(file, 'a file that can be written', got));
    if (!isPrinted) print(`\n${file}, which could not be written:\n${scenario}`);
  }
}

/** Before the check: what a long one finds is to have its place. */
function makeFolder(dir: string): void {
  makeFolders(dir);
  // A file has no entry of this name.
  accessSync(`${dir}${sep}.`, constants.W_OK);
}

function forOut(write: () => void): void {
  try {
    write();
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new InputError('--out', 'a directory that can be written to', got);
  }
}
