/** Verifies many recordings on several threads. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { InputError } from '@pinfold/base';
import type { RecordingResult } from '@pinfold/scenario';
import type { WorkerAnswer, WorkerOptions } from './worker.ts';

/** More threads than this only compete for memory. */
const MAX_THREADS = 8;

/** What became of the files. */
export interface Verified {
  /** Results, in the order of the files. */
  readonly results: readonly RecordingResult[];
  /** Files that are no recordings, or whose kernel is not modelled, in the order of the files. */
  readonly faults: readonly InputError[];
  /** Families of the files that were left out. */
  readonly otherFamilies: readonly string[];
}

/**
 * Verifies recordings.
 *
 * @param files their files
 * @param options levels and families
 * @param onProgress called after each file with the number of files that are done
 * @returns results and faults
 */
export async function verifyFiles(
  files: readonly string[],
  options: WorkerOptions,
  onProgress: (done: number) => void,
): Promise<Verified> {
  const answers = await askAll(files, options, onProgress);
  return {
    results: answers.flatMap((answer) => ('result' in answer ? answer.result : [])),
    faults: answers.flatMap((answer) => ('fault' in answer ? faultOf(answer.fault) : [])),
    otherFamilies: answers.flatMap((answer) => ('otherFamily' in answer ? answer.otherFamily : [])),
  };
}

function faultOf(fault: { place: string; expected: string; got: string }): InputError {
  return new InputError(fault.place, fault.expected, fault.got);
}

/** Each thread takes the next file when it is done with one. */
async function askAll(
  files: readonly string[],
  options: WorkerOptions,
  onProgress: (done: number) => void,
): Promise<WorkerAnswer[]> {
  const queue = files.entries();
  const answers: WorkerAnswer[] = [];
  let done = 0;
  const serve = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: options });
    try {
      for (const [index, file] of queue) {
        answers[index] = await ask(worker, file);
        onProgress(++done);
      }
    } finally {
      await worker.terminate();
    }
  };
  const threads = Math.min(availableParallelism(), MAX_THREADS, files.length);
  await Promise.all(Array.from({ length: threads }, serve));
  return answers;
}

function ask(worker: Worker, file: string): Promise<WorkerAnswer> {
  return new Promise((resolve, reject) => {
    worker.removeAllListeners();
    worker.once('message', resolve).once('error', reject);
    worker.postMessage(file);
  });
}
