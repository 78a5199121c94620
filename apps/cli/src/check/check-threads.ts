/**
 * A check on several threads. Batches are merged in the order of their numbers, and it ends at a
 * number that follows from what they have shown: the number of threads changes nothing.
 */
import {
  CHECK_BATCH,
  checkedOf,
  CheckTally,
  reportOf,
  runBatch,
  smallestFinding,
  type CheckFinding,
  type CheckOptions,
  type CheckReport,
} from '@pinfold/check';
import { AlgorithmFault } from '@pinfold/vfio-type1';
import { faultError } from '../thread-fault.ts';
import { Thread, ThreadPool, ThreadStuck } from '../threads.ts';
import type { CheckAnswer, CheckTask, CheckWorkerOptions } from './check-worker.ts';

type CheckThread = Thread<CheckTask, CheckAnswer>;

/** How a check is spread. */
export interface CheckThreads {
  /** Threads. */
  readonly workers: number;
  /** The file of the algorithm, if it is one of the user's own. */
  readonly file?: string;
  /** Seconds that its code may run without a call of the kernel. */
  readonly patience: number;
  /** Ends the check after the batches that are running; what was found by then is reported. */
  readonly signal: AbortSignal;
  /** Called after every batch. */
  readonly onProgress: (done: number) => void;
}

/** What a check on threads has come to. */
export interface ThreadsOutcome {
  /** What was found. */
  readonly report: CheckReport;
  /** The mistake in an algorithm of one's own that has ended it; null without one. */
  readonly failure: AlgorithmFault | null;
}

/**
 * Checks an algorithm. A mistake in a file ends the check in the order of the sequences: what those
 * before it have shown is reported all the same.
 *
 * @param options what is checked, with all defaults filled in
 * @param threads how it is spread
 * @returns the report
 * @throws {InputError} when the file cannot be loaded
 */
export async function checkOnThreads(
  options: Required<CheckOptions>,
  threads: CheckThreads,
): Promise<ThreadsOutcome> {
  const { runs, from: first } = options;
  const count = Math.min(threads.workers, Math.ceil(runs / CHECK_BATCH));
  const pool = new ThreadPool(count, () => startThread(options, threads));
  /** Has a task done; code that does not come to an end is run once more where it can be found. */
  const ask = async (thread: CheckThread, task: CheckTask): Promise<CheckAnswer> => {
    try {
      return await thread.ask(task);
    } catch (error) {
      if (!(error instanceof ThreadStuck)) throw endOf(error, threads.file);
      await thread.end();
      return doHere(options, task);
    }
  };
  const tally = new CheckTally(runs, first);
  const ready = new Map<number, CheckAnswer>();
  let next = 0;
  let failure: AlgorithmFault | null = null;
  const goesOn = (): boolean => tally.goesOn && failure === null && !threads.signal.aborted;
  const merge = (): void => {
    for (;;) {
      const answer = ready.get(tally.done);
      if (!answer || !tally.goesOn || failure) return;
      try {
        tally.add(batchOf(answer));
      } catch (error) {
        if (!(error instanceof AlgorithmFault)) throw error;
        failure = error;
      }
      threads.onProgress(tally.done);
    }
  };
  const serve = async (thread: CheckThread): Promise<void> => {
    while (next < runs && goesOn()) {
      const done = next;
      next += CHECK_BATCH;
      const count = Math.min(CHECK_BATCH, runs - done);
      ready.set(done, await ask(thread, { from: first + done, count }));
      merge();
    }
  };
  try {
    await pool.each(serve);
    if (goesOn()) {
      const what = 'the check has ended before its sequences did: built-in functions were changed';
      throw new AlgorithmFault(threads.file ?? options.algorithm.name, what);
    }
    const queue = tally.found.entries();
    const findings: CheckFinding[] = [];
    await pool.each(async (thread) => {
      for (const [index, raw] of queue) findings[index] = findingOf(await ask(thread, { raw }));
    });
    return { report: reportOf(options, tally, findings), failure };
  } finally {
    await pool.end();
  }
}

function batchOf(answer: CheckAnswer): Extract<CheckAnswer, { batch: unknown }>['batch'] {
  if ('batch' in answer) return answer.batch;
  throw errorOf(answer);
}

function findingOf(answer: CheckAnswer): Extract<CheckAnswer, { finding: unknown }>['finding'] {
  if ('finding' in answer) return answer.finding;
  throw errorOf(answer);
}

function errorOf(answer: CheckAnswer): Error {
  if (!('fault' in answer)) return new Error('a thread has answered something else');
  return faultError(answer.fault);
}

/** Starts a thread, which loads the algorithm at its first task. */
function startThread(
  options: Required<CheckOptions>,
  { file, patience }: CheckThreads,
): Thread<CheckTask, CheckAnswer> {
  const { algorithm, against, kernel, seed, allow } = options;
  const beats = new Int32Array(new SharedArrayBuffer(8));
  const workerData: CheckWorkerOptions = {
    algorithm: file === undefined ? { name: algorithm.name } : { file },
    ...{ against: against.name, kernel: kernel.series, allow, seed, patience },
    heartbeat: beats,
  };
  return new Thread(new URL('./check-worker.ts', import.meta.url), workerData, { beats, patience });
}

/**
 * On the main thread, where the watchdog ends the process and says where the code is: for code that
 * does not come to an end.
 */
function doHere(options: Required<CheckOptions>, task: CheckTask): CheckAnswer {
  const { seed } = options;
  const checked = checkedOf(options);
  if ('raw' in task) return { finding: smallestFinding(checked, seed, task.raw) };
  return { batch: runBatch(checked, seed, task.from, task.count) };
}

/** What ended a thread, in words about the user's file where it is its fault. */
function endOf(error: unknown, file: string | undefined): unknown {
  const outOfMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
  return outOfMemory && file !== undefined ? new AlgorithmFault(file, 'uses up the memory') : error;
}
