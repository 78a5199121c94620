/** `pinfold review`: what a reviewer asks of a patch, in one report that can be posted. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseSize } from '@pinfold/base';
import { DEFAULT_CHECK_RUNS, type Grade } from '@pinfold/check';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { Command } from 'commander';
import { loadAlgorithm } from '../algorithm-file.ts';
import { patienceOption, releaseOfBase } from '../algorithm-flags.ts';
import { EXIT_VIOLATION } from '../audit-text.ts';
import {
  allowOption,
  checkUntilEnded,
  seedOption,
  timeOption,
  workersOption,
} from '../check/check-run.ts';
import { count, flag, forFlag } from '../flags.ts';
import { commit, manifest } from '../manifest.ts';
import { print } from '../output.ts';
import { measurePatch } from '../review/measure-patch.ts';
import { reviewJson, reviewText, type Review } from '../review/review-report.ts';
import { throwUsageErrors } from '../usage-error.ts';

const MAX_RUNS = 100_000_000;
/** The release that a file without a base is a difference against, as for `compare`. */
const DEFAULT_KERNEL = '6.18';
/** The reference, as for `check`. */
const REFERENCE = 'batched';

/** The command's flags, read. */
interface ReviewFlags {
  readonly kernel?: string;
  readonly runs: number;
  readonly seed: number;
  readonly size: number;
  readonly allow: readonly Grade[];
  readonly workers: number;
  readonly patience: number;
  readonly time?: number;
  readonly json?: boolean;
}

/**
 * Adds the command.
 *
 * @param program the program
 */
export function addReview(program: Command): void {
  const command = program
    .command('review')
    .summary('one report on a patch: verdict, table, calls and counterexamples')
    .description(
      'Checks a pin algorithm of your own, measures it beside what it is a difference against, and ' +
        'prints one report in Markdown that can be posted with a patch: the verdict, ' +
        'counterexamples, the ablation table, what small folios lose, and in which calls it differs ' +
        'from its base. The exit codes are those of check.',
    )
    .argument('<file>', 'the algorithm (pinfold new-algorithm): its code runs with your rights')
    .addOption(
      flag(
        '--kernel <name>',
        `the release whose rules hold (default: the base of the file if it is one, or ${DEFAULT_KERNEL})`,
        (text, place) => {
          forFlag(place, text, kernelVersion);
          return text;
        },
      ),
    )
    .addOption(
      flag('--runs <n>', 'sequences at most', (text, place) =>
        count(text, place, MAX_RUNS),
      ).default(DEFAULT_CHECK_RUNS),
    )
    .addOption(seedOption())
    .addOption(timeOption())
    .addOption(
      flag('--size <size>', 'size of the mappings that are measured', parseSize).default(
        64 * 2 ** 20,
        '64M',
      ),
    )
    .addOption(allowOption())
    .addOption(workersOption())
    .addOption(patienceOption())
    .option('--json', 'print the report as JSON, with counts per boundary class')
    .addHelpText(
      'after',
      '\nExample:\n  pinfold new-algorithm my-patch --from 6.18 --step nextUnmapRun\n' +
        '  pinfold review my-patch.ts > review.md',
    )
    .action(review);
  throwUsageErrors(command);
}

async function review(file: string, flags: ReviewFlags): Promise<void> {
  const { runs, seed, allow, patience } = flags;
  const otherwise = kernelVersion(flags.kernel ?? DEFAULT_KERNEL).type1.pinAlgorithm;
  const algorithm = await loadAlgorithm(file, otherwise, patience);
  const name = flags.kernel ?? releaseOfBase(algorithm) ?? DEFAULT_KERNEL;
  const kernel = kernelVersion(name);
  const against = pinAlgorithm(REFERENCE);
  const options = { algorithm, against, kernel, runs, from: 0, seed, allow };
  const { report, failure, ended, exitCode } = await checkUntilEnded(options, { ...flags, file });
  if (failure && report.findings.length === 0) throw failure;
  const made: Review = {
    file,
    sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    version: manifest().version,
    commit: commit(),
    base: algorithm.base?.name ?? kernel.series,
    kernel: name,
    ...{ algorithm, report, ended, size: flags.size },
    ...(await measurePatch(algorithm, name, flags.size)),
  };
  print(flags.json ? reviewJson(made) : reviewText(made, flags));
  if (report.findings.length > 0) process.exitCode = EXIT_VIOLATION;
  if (exitCode !== null) process.exitCode = exitCode;
  if (failure) throw failure;
}
