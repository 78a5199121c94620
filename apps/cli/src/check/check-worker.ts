/** A thread of `pinfold check`: runs batches of sequences, and makes findings small. */
import { setImmediate as turn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import {
  checkedOf,
  runBatch,
  smallestFinding,
  type BatchResult,
  type CheckedAlgorithms,
  type CheckFinding,
  type Grade,
  type RawFinding,
} from '@pinfold/check';
import { kernelVersion } from '@pinfold/kernels';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { importAlgorithm } from '../algorithm-file.ts';
import { faultParts, type ThreadFault } from '../thread-fault.ts';

/** What a thread is started with. */
export interface CheckWorkerOptions {
  /** The algorithm: the name of one that is built in, or a file. */
  readonly algorithm: { readonly name: string } | { readonly file: string };
  /** Name of the reference. */
  readonly against: string;
  /** Release series. */
  readonly kernel: string;
  /** Grades that do not count. */
  readonly allow: readonly Grade[];
  /** Seed of the check. */
  readonly seed: number;
  /** Seconds that the import of a file may wait. */
  readonly patience: number;
  /** Shows that code of a file is running. */
  readonly heartbeat: Int32Array;
}

/** What a thread is told to do. */
export type CheckTask =
  { readonly from: number; readonly count: number } | { readonly raw: RawFinding };

/** What it answers. */
export type CheckAnswer =
  | { readonly batch: BatchResult }
  | { readonly finding: CheckFinding }
  | { readonly fault: ThreadFault };

const options = workerData as CheckWorkerOptions;
let checked: CheckedAlgorithms | null = null;
let failed = false;

async function answer(task: CheckTask): Promise<CheckAnswer> {
  const { seed } = options;
  checked ??= await load();
  const done: CheckAnswer =
    'raw' in task
      ? { finding: smallestFinding(checked, seed, task.raw) }
      : { batch: runBatch(checked, seed, task.from, task.count) };
  // Promises that the file left open fail now.
  await turn();
  return done;
}

async function load(): Promise<CheckedAlgorithms> {
  const { algorithm, against, kernel, allow, patience, heartbeat } = options;
  const version = kernelVersion(kernel);
  const base = version.type1.pinAlgorithm;
  return checkedOf({
    ...{ kernel: version, against: pinAlgorithm(against), allow },
    algorithm:
      'name' in algorithm
        ? pinAlgorithm(algorithm.name)
        : await importAlgorithm(algorithm.file, base, patience, heartbeat, failLate),
  });
}

function faultOf(error: unknown): CheckAnswer {
  const fault = faultParts(error);
  if (!fault) throw error;
  return { fault };
}

/** An error outside of all steps is the last answer. */
function failLate(error: unknown): void {
  if (!failed) parentPort?.postMessage(faultOf(error));
  failed = true;
}

parentPort?.on('message', (task: CheckTask) => {
  void answer(task)
    .catch(faultOf)
    .then((done) => {
      if (!failed) parentPort?.postMessage(done);
    });
});
