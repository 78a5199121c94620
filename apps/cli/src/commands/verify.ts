/** `pinfold verify`: recordings of real kernels against the model. */
import { InputError } from '@pinfold/base';
import { levels, summarize, type Summary } from '@pinfold/conformance';
import { Option, type Command } from 'commander';
import { list } from '../flags.ts';
import { EXIT_BROKEN, EXIT_FAILURE, EXIT_USAGE, reportError } from '../report-error.ts';
import { StatusLine } from '../status-line.ts';
import { print } from '../output.ts';
import { throwUsageErrors } from '../usage-error.ts';
import { diffText } from '../verify/diff.ts';
import { findRecordings } from '../verify/find-recordings.ts';
import { hanging } from '../verify/hanging.ts';
import { failuresText, omissionsText, rowsText } from '../verify/report.ts';
import { tooManySkipped, verdictOf } from '../verify/verdict.ts';
import { verifyFiles, type Verified } from '../verify/verify-files.ts';

/** Width of a report that goes to no terminal. */
const DEFAULT_WIDTH = 120;
/** Narrower than this, nothing is made narrower. */
const MIN_WIDTH = 60;

const levelNames = levels.map(({ name }) => name);

/** The command's flags, read. */
interface VerifyFlags {
  readonly level: readonly string[];
  readonly family?: readonly string[];
  readonly json?: boolean;
  readonly diff?: boolean;
  readonly allowSkips?: boolean;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .summary('compare the model with recordings of real kernels')
    .description(
      'Runs recorded scenarios on the model and compares every step with what the kernel did. ' +
        'A step counts once per level:\n' +
        levels.map(({ name, summary }) => `  ${name}: ${summary}\n`).join('') +
        'Fails if a step-level fails, or if more than 5 % are skipped.',
    )
    .argument('<path...>', 'recordings (.json, .json.gz), or folders of recordings')
    .addOption(levelList())
    .addOption(familyList())
    .option('--diff', 'show the first difference of each recording that fails, with its context')
    .option('--json', 'print sums, failures and skips as JSON')
    .option('--allow-skips', 'accept more than 5 % of skipped step-levels')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  pinfold verify packages/recordings/6.18.15\n' +
        '  pinfold verify --family e,u --level state packages/recordings\n' +
        '  pinfold verify --diff packages/recordings/6.18.15/main/e03-bad-vaddr.json.gz',
    )
    .action(verify);
  throwUsageErrors(command);
}

function levelList(): Option {
  const description = `levels to compare: a comma list of ${levelNames.join(',')}`;
  return new Option('--level <list>', description)
    .argParser((text) => list(text, levelName))
    .default(levelNames, 'all');
}

function levelName(name: string): string {
  if (levelNames.includes(name)) return name;
  throw new InputError('--level', `one of ${levelNames.join(', ')}`, `'${name}'`);
}

function familyList(): Option {
  return new Option(
    '--family <list>',
    'families to verify: a comma list of leading letters of scenario names, such as s,u, or aw39, random',
  ).argParser((text) => list(text, (item) => item));
}

async function verify(paths: readonly string[], flags: VerifyFlags): Promise<void> {
  const files = findRecordings(paths);
  const verified = await run(files, flags);
  checkFamilies(verified, flags);
  for (const fault of verified.faults) reportError(fault);
  for (const { file, message } of verified.crashes) reportError(new Error(`${file}: ${message}`));
  if (verified.results.length > 0) {
    const summary = summarize(verified.results);
    print(flags.json ? jsonText(verified, summary) : text(verified, summary, flags));
    if (fails(summary, flags)) process.exitCode = EXIT_FAILURE;
  }
  if (verified.faults.length > 0) process.exitCode = EXIT_USAGE;
  if (verified.crashes.length > 0) process.exitCode = EXIT_BROKEN;
}

/** Verifies the files, with the progress on stderr. */
async function run(files: readonly string[], flags: VerifyFlags): Promise<Verified> {
  const status = new StatusLine(process.stderr);
  try {
    const options = { levels: flags.level, ...(flags.family && { families: flags.family }) };
    return await verifyFiles(files, options, (done) => {
      status.show(`${done} of ${files.length} recordings`);
    });
  } finally {
    status.clear();
  }
}

/** A family that no recording has would pass unseen. */
function checkFamilies(
  { results, faults, crashes, otherFamilies }: Verified,
  flags: VerifyFlags,
): void {
  const found = new Set([...results.map(({ family }) => family), ...otherFamilies]);
  const missing = (flags.family ?? []).find((name) => !found.has(name));
  if (missing === undefined || faults.length + crashes.length > 0) return;
  throw new InputError('--family', `one of ${[...found].sort().join(', ')}`, `'${missing}'`);
}

function fails({ total }: Summary, flags: VerifyFlags): boolean {
  if (total.failed > 0 || total.passed === 0) return true;
  return tooManySkipped(total) && !flags.allowSkips;
}

function jsonText({ results, faults, crashes }: Verified, summary: Summary): string {
  const notPassed = results
    .flatMap((result) => result.results)
    .filter(({ verdict }) => verdict !== 'passed');
  const broken = [
    ...faults.map(({ message }) => message),
    ...crashes.map(({ file, message }) => `${file}: ${message}`),
  ];
  return `${JSON.stringify({ ...summary, notPassed, broken }, null, 2)}\n`;
}

function text(verified: Verified, summary: Summary, flags: VerifyFlags): string {
  const { results, faults, crashes } = verified;
  const columns: number | undefined = process.stdout.columns;
  const width = Math.max(columns ?? DEFAULT_WIDTH, MIN_WIDTH);
  const { passed, failed, skipped } = summary.total;
  const broken = faults.length + crashes.length;
  const verdict = verdictOf(summary, results.length, broken, flags.allowSkips ?? false);
  return [
    hanging(verdict, '  ', width),
    rowsText(summary.rows, { width, levels: flags.level }),
    flags.diff ? diffsText(results, summary, width) : failuresText(summary.failures, width),
    omissionsText(summary, width),
    `${passed} passed, ${failed} failed, ${skipped} skipped\n`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function diffsText(results: Verified['results'], { failures }: Summary, width: number): string {
  const linesOf = new Map(results.map(({ file, lines }) => [file, lines]));
  return failures
    .map((failure) => diffText(failure, linesOf.get(failure.file) ?? [], width))
    .join('\n');
}
