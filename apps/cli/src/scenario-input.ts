/** What the commands that run a scenario have in common: the file and the flags. */
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import type { Scenario } from '@pinfold/scenario';
import { Option, type Command } from 'commander';
import { count, forFlag } from './flags.ts';
import { readText } from './read-file.ts';

const MAX_SEED = 0xffff_ffff;
/** What stands for standard input, in place of a file. */
const STDIN = '-';
/** Bytes of a scenario at most. */
const MAX_SCENARIO = 2 ** 24;

/**
 * Reads a scenario's text.
 *
 * @param file the file, or `-` for standard input
 * @returns its text, and its name for messages
 * @throws {InputError} when it cannot be read, or is longer than 16 MiB
 */
export function readScenario(file: string): { name: string; script: string } {
  const isStdin = file === STDIN;
  const script = readText(isStdin ? null : file, 'a scenario', MAX_SCENARIO);
  return { name: isStdin ? 'stdin' : file, script };
}

/**
 * `--kernel`: the release that a scenario runs on.
 *
 * @returns the option; default the newest release
 */
export function kernelOption(): Option {
  const series = kernelVersions.map((version) => version.series);
  const newest = series.at(-1) ?? '';
  return new Option('--kernel <name>', `${series.join(', ')} or a point release such as 6.18.15`)
    .argParser((text) => {
      forFlag('--kernel', text, kernelVersion);
      return text;
    })
    .default(newest, newest);
}

/**
 * The release that a scenario runs on: that of `--kernel`, else that of its `audit` line.
 *
 * @param scenario the scenario
 * @param command the command, which has {@link kernelOption}
 * @returns the release
 * @throws {InputError} when there is no release of the line's name
 */
export function kernelFor({ file, audit }: Scenario, command: Command): string {
  const written = command.getOptionValue('kernel') as string;
  const asked = command.getOptionValueSource('kernel') !== 'default';
  if (asked || audit?.kernel === undefined) return written;
  forFlag(`${file}: audit`, audit.kernel, kernelVersion);
  return audit.kernel;
}

/**
 * `--seed`: decides the order of frames.
 *
 * @returns the option
 */
export function seedOption(): Option {
  return new Option('--seed <n>', 'order of the frames that memory gets, 1 or more')
    .argParser((text) => count(text, '--seed', MAX_SEED))
    .default(1);
}
