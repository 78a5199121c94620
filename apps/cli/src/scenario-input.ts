/** What the commands that run a scenario have in common: the file and the flags. */
import { kernelVersions, standInFor, standInText } from '@pinfold/kernels';
import type { MachineLine, Scenario } from '@pinfold/scenario';
import { Option, type Command } from 'commander';
import { count } from './flags.ts';
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
  const known = `${series.join(', ')} or a point release such as 6.18.15; for another, as uname -r names it, the nearest of these answers`;
  return new Option('--kernel <name>', known)
    .argParser((text) => {
      standInFor(text, '--kernel');
      return text;
    })
    .default(newest, newest);
}

/** The release that a scenario runs on. */
export interface ChosenKernel {
  /** A modelled release, or a point release of one. */
  readonly kernel: string;
  /** What stands for the kernel that was asked for; empty where that is modelled. */
  readonly standIn: string;
}

/**
 * The release that a scenario runs on: that of `--kernel`, else that of its `audit` line, its `machine`
 * line or the host file.
 *
 * @param scenario the scenario
 * @param command the command, which has {@link kernelOption}
 * @param host what the host file says
 * @returns the release
 * @throws {InputError} when a name is none of a kernel
 */
export function kernelFor(
  { file, audit, machine }: Scenario,
  command: Command,
  host: MachineLine = {},
): ChosenKernel {
  const written = command.getOptionValue('kernel') as string;
  const asked = command.getOptionValueSource('kernel') !== 'default';
  const [name, place] = asked
    ? [written, '--kernel']
    : audit?.kernel !== undefined
      ? [audit.kernel, `${file}: audit`]
      : [machine.kernel ?? host.kernel ?? written, `${file}: machine: kernel`];
  const found = standInFor(name, place);
  const isPlain = found.isExact && /^[\d.]+$/.test(found.asked);
  return { kernel: isPlain ? found.asked : found.kernel.series, standIn: standInText(found) };
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
