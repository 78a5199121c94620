/**
 * A check on several threads. Batches are merged in the order of their numbers, and it ends at a
 * number that follows from what they have shown: the number of threads changes nothing.
 */
import { Worker } from 'node:worker_threads';
import { InputError } from '@pinfold/base';
import {
  CHECK_BATCH,
  checkedOf,
  CheckTally,
  reportOf,
  runBatch,
  smallestFinding,
  type CheckOptions,
  type CheckReport,
} from '@pinfold/check';
import { AlgorithmFault } from '@pinfold/vfio-type1';
import type { CheckAnswer, CheckTask, CheckWorkerOptions, WorkerFault } from './check-worker.ts';

/** Milliseconds between two looks at the heartbeats. */
const INTERVAL = 100;

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
  /** Told of every batch. */
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
  const { runs } = options;
  const pool = new CheckPool(options, threads);
  const tally = new CheckTally(runs);
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
      const from = next;
      next += CHECK_BATCH;
      ready.set(from, await thread.ask({ from, count: Math.min(CHECK_BATCH, runs - from) }));
      merge();
    }
  };
  try {
    await pool.each(serve);
    if (goesOn()) {
      const what = 'the check has ended before its sequences did: built-in functions were changed';
      throw new AlgorithmFault(threads.file ?? options.algorithm.name, what);
    }
    const findings = await pool.map(
      tally.found.map((raw) => ({ raw })),
      findingOf,
    );
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
  const fault: WorkerFault = answer.fault;
  return 'what' in fault
    ? new AlgorithmFault(fault.place, fault.what)
    : new InputError(fault.place, fault.expected, fault.got);
}

/** The threads. */
class CheckPool {
  readonly #threads: readonly CheckThread[];

  constructor(options: Required<CheckOptions>, spread: CheckThreads) {
    const count = Math.min(spread.workers, Math.ceil(options.runs / CHECK_BATCH));
    this.#threads = Array.from({ length: count }, () => new CheckThread(options, spread));
  }

  async each(serve: (thread: CheckThread) => Promise<void>): Promise<void> {
    await Promise.all(this.#threads.map(serve));
  }

  /** Answers to tasks, in the order of the tasks. */
  async map<Value>(
    tasks: readonly CheckTask[],
    read: (answer: CheckAnswer) => Value,
  ): Promise<Value[]> {
    const queue = tasks.entries();
    const values: Value[] = [];
    await this.each(async (thread) => {
      for (const [index, task] of queue) values[index] = read(await thread.ask(task));
    });
    return values;
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

/** One thread, which does one task at a time. */
class CheckThread {
  readonly #options: Required<CheckOptions>;
  readonly #patience: number;
  readonly #heartbeat = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker: Worker;
  #timer: NodeJS.Timeout | undefined;
  #answered: ((answer: CheckAnswer) => void) | null = null;
  #failed: ((error: unknown) => void) | null = null;

  constructor(options: Required<CheckOptions>, { file, patience }: CheckThreads) {
    this.#options = options;
    this.#patience = patience;
    const { algorithm, against, kernel, seed } = options;
    const workerData: CheckWorkerOptions = {
      algorithm: file === undefined ? { name: algorithm.name } : { file },
      ...{ against: against.name, kernel: kernel.series, seed, patience },
      heartbeat: this.#heartbeat,
    };
    this.#worker = new Worker(new URL('./check-worker.ts', import.meta.url), { workerData });
    this.#worker.on('message', (answer: CheckAnswer) => this.#answered?.(answer));
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY' && file !== undefined;
      this.#failed?.(outOfMemory ? new AlgorithmFault(file, 'uses up the memory') : error);
    });
    // Without an answer nothing would wait any more, and the command end as if all were well.
    this.#worker.on('exit', () => this.#failed?.(new Error('a thread has ended')));
  }

  /** Has a task done. Code that does not come to an end is run once more where it can be found. */
  async ask(task: CheckTask): Promise<CheckAnswer> {
    const stuck = Symbol('stuck');
    const answer = new Promise<CheckAnswer>((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
    const silence = new Promise<typeof stuck>((resolve) => {
      this.#watch(() => {
        resolve(stuck);
      });
    });
    this.#worker.postMessage(task);
    try {
      const first = await Promise.race([answer, silence]);
      if (first !== stuck) return first;
      await this.#worker.terminate();
      return this.#doHere(task);
    } finally {
      clearInterval(this.#timer);
    }
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#worker.terminate();
  }

  /** Looks whether code of the file is running, and for how long it has not called anything. */
  #watch(stuck: () => void): void {
    let seen = this.#heartbeat[0];
    let silent = 0;
    this.#timer = setInterval(() => {
      const [beats, running] = this.#heartbeat;
      if (beats !== seen || running === 0) {
        seen = beats;
        silent = 0;
      } else if (++silent * INTERVAL >= this.#patience * 1000) stuck();
    }, INTERVAL);
  }

  /** On the main thread, whose watchdog ends the process and says where the code is. */
  #doHere(task: CheckTask): CheckAnswer {
    const { seed } = this.#options;
    const checked = checkedOf(this.#options);
    if ('raw' in task) return { finding: smallestFinding(checked, seed, task.raw) };
    return { batch: runBatch(checked, seed, task.from, task.count) };
  }
}
