/** A worker of sequences.ts: runs sequences, or injects faults into a scenario, as it is told. */
import { parentPort } from 'node:worker_threads';
import { injectInto } from '../test/injection-plan.ts';
import { runSequences, type Tally } from '../test/sequences-plan.ts';

/** What a worker is told to do. */
export type Job =
  | { readonly from: number; readonly count: number; readonly known: readonly string[] }
  | { readonly file: string; readonly oneByOne: number };

/** What it answers. */
export type Answer =
  | { readonly tally: Tally; readonly count: number }
  | {
      readonly tries: readonly (readonly [string, number])[];
      readonly findings: readonly string[];
    };

async function answer(job: Job): Promise<Answer> {
  if ('file' in job) {
    const { tries, findings } = await injectInto(job.file, job.oneByOne);
    return { tries: [...tries], findings };
  }
  const { from, count, known } = job;
  return { tally: await runSequences(from, count, new Set(known)), count };
}

parentPort?.on('message', (job: Job) => {
  void answer(job).then((done) => parentPort?.postMessage(done));
});
