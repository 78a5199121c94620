/** A thread that verifies recordings, one after the other, as it is told. */
import { readFile } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import {
  familyOf,
  levels,
  modelMachineForPass,
  readRecording,
  verifyRecording,
  type RecordingResult,
} from '@pinfold/conformance';
import { checkFile } from '../read-file.ts';
import { faultText } from '../report-error.ts';
import { faultParts, type ThreadFault } from '../thread-fault.ts';

/** Bytes of a recording's file at most. */
const MAX_RECORDING = 2 ** 28;

/** What a thread is started with. */
export interface WorkerOptions {
  /** Names of the levels to compare. */
  readonly levels: readonly string[];
  /** Families to verify; without them all. */
  readonly families?: readonly string[];
}

/** What a thread says of a file: its results, or that it is of another family, or broken. */
export type WorkerAnswer =
  | { readonly result: RecordingResult }
  | { readonly otherFamily: string }
  | { readonly fault: ThreadFault }
  | { readonly crash: Crash };

/** A file that pinfold itself cannot cope with. */
export interface Crash {
  /** The file. */
  readonly file: string;
  /** What went wrong. */
  readonly message: string;
}

const options = workerData as WorkerOptions;
const chosen = levels.filter(({ name }) => options.levels.includes(name));

async function verify(file: string): Promise<WorkerAnswer> {
  checkFile(file, 'a recording', MAX_RECORDING);
  const recording = await readRecording(file, (path) => readFile(path));
  const family = familyOf(recording, file);
  if (options.families && !options.families.includes(family)) return { otherFamily: family };
  return { result: await verifyRecording(recording, file, modelMachineForPass, chosen) };
}

function faultOf(error: unknown, file: string): WorkerAnswer {
  const fault = faultParts(error);
  return fault ? { fault } : { crash: { file, message: faultText(error) } };
}

parentPort?.on('message', (file: string) => {
  void verify(file)
    .catch((error: unknown) => faultOf(error, file))
    .then((answer) => parentPort?.postMessage(answer));
});
