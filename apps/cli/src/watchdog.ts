/** A thread that ends the process when code of a user's file does not come to an end. */
import { Worker } from 'node:worker_threads';

/** What the thread is started with. */
export interface WatchdogOptions {
  /** The file, for messages. */
  readonly name: string;
  /** Its address, as stacks write it. */
  readonly url: string;
  /** Seconds without a call after which it is stuck. */
  readonly patience: number;
  /** The heartbeat that is watched. */
  readonly heartbeat: Int32Array;
}

/** Second number of the heartbeat while the file is imported: no step runs then. */
export const IMPORTING = -1;

/** A watchdog that runs. */
export interface Watchdog {
  /** For {@link algorithmFrom}. */
  readonly heartbeat: Int32Array;
  /**
   * Watches an import.
   *
   * @param run the import
   * @returns what it returns
   */
  duringImport<Result>(run: () => Promise<Result>): Promise<Result>;
}

/**
 * Starts a watchdog, which lasts as long as the process. If code of the file is silent for too
 * long, it prints one line with the place where the code is and exits with code 2.
 *
 * @param options the file
 * @returns the watchdog, once it watches
 */
export async function startWatchdog(
  options: Omit<WatchdogOptions, 'heartbeat'>,
): Promise<Watchdog> {
  const heartbeat = new Int32Array(new SharedArrayBuffer(8));
  const { name, url, patience } = options;
  const workerData: WatchdogOptions = { name, url, patience, heartbeat };
  const worker = new Worker(new URL('./watchdog-worker.ts', import.meta.url), { workerData });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  worker.unref();
  return {
    heartbeat,
    async duringImport(run) {
      heartbeat[1] = IMPORTING;
      try {
        return await run();
      } finally {
        heartbeat[1] = 0;
      }
    },
  };
}
