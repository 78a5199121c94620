/** Verifies many recordings on several threads. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { InputError } from '@pinfold/base';
import type { RecordingResult } from '@pinfold/conformance';
import { faultText } from '../report-error.ts';
import type { Crash, WorkerAnswer, WorkerOptions } from './worker.ts';

/** More threads than this only compete for memory. */
const MAX_THREADS = 8;

/** What became of the files. */
export interface Verified {
  /** Results, in the order of the files. */
  readonly results: readonly RecordingResult[];
  /** Files that are no recordings, or whose kernel is not modelled, in the order of the files. */
  readonly faults: readonly InputError[];
  /** Files that pinfold itself cannot cope with, in the order of the files. */
  readonly crashes: readonly Crash[];
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
    crashes: answers.flatMap((answer) => ('crash' in answer ? answer.crash : [])),
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
    let worker = start();
    try {
      for (const [index, file] of queue) {
        try {
          answers[index] = await ask(worker, file);
        } catch (error) {
          // Such as a thread that has used up its memory: the others and the next files go on.
          answers[index] = { crash: { file, message: faultText(error) } };
          await worker.terminate();
          worker = start();
        }
        onProgress(++done);
      }
    } finally {
      await worker.terminate();
    }
  };
  const start = (): Worker =>
    new Worker(new URL('./worker.ts', import.meta.url), { workerData: options });
  const threads = Math.min(availableParallelism(), MAX_THREADS, files.length);
  await Promise.all(Array.from({ length: threads }, serve));
  return answers;
}

function ask(worker: Worker, file: string): Promise<WorkerAnswer> {
  return new Promise((resolve, reject) => {
    worker.removeAllListeners();
    worker.once('message', resolve).once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread has ended (${code})`)));
    worker.postMessage(file);
  });
}
