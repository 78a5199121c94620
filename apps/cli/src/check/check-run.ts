/** A check with progress, which a time or a signal may end: what `check` and `review` have in common. */
import { availableParallelism } from 'node:os';
import { GRADES, type CheckOptions, type Grade } from '@pinfold/check';
import type { Option } from 'commander';
import { count, flag, list, oneOf, seconds } from '../flags.ts';
import { StatusLine } from '../status-line.ts';
import { formatCount } from '../table.ts';
import { checkOnThreads, type ThreadsOutcome } from './check-threads.ts';

const MAX_WORKERS = 64;
const MAX_SEED = 0xffff_ffff;
/** A week, in seconds. */
const MAX_SECONDS = 604_800;
/** Exit codes of a check that was interrupted: 128 and the number of the signal. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof SIGNALS;

/** How a check is run, but for what it looks for. */
export interface CheckRun {
  /** The file of the algorithm, if it is one of the user's own. */
  readonly file?: string;
  /** Seconds that its code may run without a call of the kernel. */
  readonly patience: number;
  /** Threads. */
  readonly workers: number;
  /** Seconds after which it ends. */
  readonly time?: number;
}

/** What a check has come to. */
export interface EndedCheck extends ThreadsOutcome {
  /** What has ended it before its sequences did, in words; empty if nothing has. */
  readonly ended: string;
  /** The exit code of the signal that has; null without one. */
  readonly exitCode: number | null;
}

/**
 * Runs a check on threads, with its progress on stderr, to its end, to that of its time, or to the
 * first signal; at the second one, the process ends at once.
 *
 * @param options what is checked
 * @param run how
 * @returns what was found by then
 * @throws {InputError} when the file cannot be loaded
 */
export async function checkUntilEnded(
  options: Required<CheckOptions>,
  { file, patience, workers, time }: CheckRun,
): Promise<EndedCheck> {
  const status = new StatusLine(process.stderr);
  const onProgress = (done: number): void => {
    status.show(`${formatCount(done)} of ${formatCount(options.runs)} sequences`);
  };
  const { signal: interrupted, endedBy } = untilInterrupted();
  const late = time === undefined ? [] : [AbortSignal.timeout(time * 1000)];
  const signal = AbortSignal.any([interrupted, ...late]);
  const spread = { workers, patience, onProgress, signal, ...(file !== undefined && { file }) };
  const outcome = await checkOnThreads(options, spread);
  status.clear();
  const by = endedBy();
  const ended = by !== null ? 'interrupted' : signal.aborted ? 'ended by --time' : '';
  return { ...outcome, ended, exitCode: by === null ? null : SIGNALS[by] };
}

/** Ends a check at the first signal, with what was found by then; at the second one, at once. */
function untilInterrupted(): { signal: AbortSignal; endedBy: () => Signal | null } {
  const stop = new AbortController();
  let by: Signal | null = null;
  for (const name of Object.keys(SIGNALS) as Signal[]) {
    process.once(name, () => {
      by = name;
      stop.abort();
    });
  }
  return { signal: stop.signal, endedBy: () => by };
}

/**
 * `--seed`.
 *
 * @returns the option
 */
export function seedOption(): Option {
  const description = 'decides everything that is random, 1 or more';
  return flag('--seed <n>', description, (text, place) => count(text, place, MAX_SEED)).default(1);
}

/**
 * `--workers`: threads.
 *
 * @returns the option
 */
export function workersOption(): Option {
  const description = 'threads; they change nothing but the time';
  return flag('--workers <n>', description, (text, place) =>
    count(text, place, MAX_WORKERS),
  ).default(Math.min(availableParallelism(), MAX_WORKERS), 'one per core');
}

/**
 * `--allow`: grades that do not count.
 *
 * @returns the option
 */
export function allowOption(): Option {
  const grades = Object.keys(GRADES) as Grade[];
  const description = `grades that do not count, a comma list of ${grades.join(',')}`;
  return flag('--allow <grades>', description, (text, place) =>
    list(text, (item) => oneOf(item, place, grades)),
  ).default([], 'none');
}

/**
 * `--time`: when a check ends.
 *
 * @returns the option
 */
export function timeOption(): Option {
  const description =
    'end after so long, such as 90s, 30m or 2h, with what was found by then, and the exit code of that';
  return flag('--time <time>', description, (text, place) => seconds(text, place, MAX_SECONDS));
}
