/** Verifies many recordings on several threads. */
import { availableParallelism } from 'node:os';
import type { RecordingResult } from '@pinfold/conformance';
import { faultText } from '../report-error.ts';
import { faultError } from '../thread-fault.ts';
import { Thread, ThreadPool } from '../threads.ts';
import type { Crash, WorkerAnswer, WorkerOptions } from './worker.ts';

/** More threads than this only compete for memory. */
const MAX_THREADS = 8;

/** What became of the files. */
export interface Verified {
  /** Results, in the order of the files. */
  readonly results: readonly RecordingResult[];
  /** Files that are no recordings, or whose kernel is not modelled, in the order of the files. */
  readonly faults: readonly Error[];
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
    faults: answers.flatMap((answer) => ('fault' in answer ? faultError(answer.fault) : [])),
    crashes: answers.flatMap((answer) => ('crash' in answer ? answer.crash : [])),
    otherFamilies: answers.flatMap((answer) => ('otherFamily' in answer ? answer.otherFamily : [])),
  };
}

/** Each thread takes the next file when it is done with one. */
async function askAll(
  files: readonly string[],
  options: WorkerOptions,
  onProgress: (done: number) => void,
): Promise<WorkerAnswer[]> {
  const threads = Math.min(availableParallelism(), MAX_THREADS, files.length);
  const url = new URL('./worker.ts', import.meta.url);
  const pool = new ThreadPool<string, WorkerAnswer>(threads, () => new Thread(url, options));
  // Such as a thread that has used up its memory: the others and the next files go on.
  const instead = (file: string, error: unknown): WorkerAnswer => ({
    crash: { file, message: faultText(error) },
  });
  try {
    return await pool.map(files, instead, onProgress);
  } finally {
    await pool.end();
  }
}
