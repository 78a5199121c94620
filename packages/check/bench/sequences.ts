/**
 * Random sequences on every release, with an audit of all invariants after every step, and fault
 * injection into the scenarios of the repository: see {@link USAGE}.
 *
 * A sequence follows from its number, so that `--from` goes on where a run was ended. What is found
 * is made as small as can be and written to a scenario file; then the exit code is 1.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { kernelVersions } from '@pinfold/kernels';
import { injectionFiles } from '../test/injection-plan.ts';
import { ONE_BY_ONE } from '../test/injection-run.ts';
import {
  addTally,
  emptyTally,
  idOfScenario,
  scenarioText,
  type Tally,
} from '../test/sequences-plan.ts';
import { runSequence } from '../test/sequences-run.ts';
import type { Answer, Job } from './sequences-worker.ts';

/** Sequences that a worker runs before it answers. */
const BATCH = 50;
/** Scenarios of all families but dirty logging, on the oldest and the newest release. */
const INJECTION = String.raw`^(6\.12|7\.2)\.\d+/main/[suveimpb]`;
const OUT = 'node_modules/.cache/pinfold/sequences';

const USAGE = `npm run test:sequences -- [--runs 10000] [--from 0] [--workers 2]
                          [--injection REGEXP|none] [--one-by-one 24]
npm run test:sequences -- --replay violation.scn

  --runs       random sequences; each follows from its number
  --from       number of the first of them
  --workers    worker threads
  --injection  recordings and scenarios that faults are injected into, by file name; '.' is all
  --one-by-one calls of a step that fail in turn, the first, the second, ...; of those behind them
               only some do, because each costs the whole step
  --replay     run the scenario of a finding again
`;

/** Everything that was done. */
class Progress {
  readonly tally: Tally = emptyTally();
  readonly tries = new Map<string, number>();
  readonly findings: string[] = [];
  readonly #start = performance.now();
  readonly #jobs: number;
  #done = 0;
  sequences = 0;

  constructor(jobs: number) {
    this.#jobs = jobs;
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  add(answer: Answer): void {
    this.#done++;
    if ('tally' in answer) {
      addTally(this.tally, answer.tally);
      this.sequences += answer.count;
    } else {
      for (const [what, n] of answer.tries) this.tries.set(what, (this.tries.get(what) ?? 0) + n);
      this.findings.push(...answer.findings);
    }
    if (!process.stderr.isTTY) return;
    const share = ((100 * this.#done) / this.#jobs).toFixed(1);
    const found = this.tally.findings.length + this.findings.length;
    process.stderr.write(`\r${share} %, ${this.sequences} sequences, ${found} findings `);
  }
}

/** Hands jobs to workers until none is left. */
async function work(jobs: readonly Job[], workers: number, progress: Progress): Promise<void> {
  const left = [...jobs].reverse();
  const url = new URL('sequences-worker.ts', import.meta.url);
  await Promise.all(
    Array.from({ length: Math.min(workers, jobs.length) }, async () => {
      const worker = new Worker(url);
      for (let job = left.pop(); job; job = left.pop()) {
        const known = progress.tally.findings.map(({ rule }) => rule);
        const next = 'file' in job ? job : { ...job, known };
        progress.add(
          await new Promise<Answer>((done, failed) => {
            worker.removeAllListeners();
            worker.once('message', done).once('error', failed);
            worker.postMessage(next);
          }),
        );
      }
      await worker.terminate();
    }),
  );
}

function jobsFor(runs: number, from: number, injection: string, oneByOne: number): Job[] {
  const jobs: Job[] = [];
  for (let at = from; at < from + runs; at += BATCH) {
    jobs.push({ from: at, count: Math.min(BATCH, from + runs - at), known: [] });
  }
  if (injection === 'none') return jobs;
  return [...jobs, ...injectionFiles(new RegExp(injection)).map((file) => ({ file, oneByOne }))];
}

/** What was done, for people. */
function report(progress: Progress, next: number): string {
  const { tally, tries, findings, sequences } = progress;
  const list = (entries: Iterable<readonly [string, string | number]>): string =>
    Array.from(entries, ([name, value]) => `${name} ${value}`).join(', ') || 'none';
  const clean = kernelVersions.map(({ series }) => [series, tally.clean[series] ?? 0] as const);
  const steps = Object.entries(tally.steps).map(
    ([op, [all, good]]) => [op, `${good}/${all}`] as const,
  );
  return [
    `${sequences} sequences in ${progress.seconds.toFixed(0)} s; the next is --from ${next}`,
    `without violation: ${list(clean)}`,
    `steps (good/all): ${list(steps)}`,
    `pages: ${tally.pinned} pinned, ${tally.copied} copied`,
    `faults injected: ${list(tries)}`,
    `findings: ${tally.findings.length + findings.length}`,
    '',
  ].join('\n');
}

/** Writes the scenarios of findings. */
function writeFindings({ tally, findings }: Progress): void {
  for (const finding of tally.findings) {
    const name = `${finding.rule
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .slice(0, 60)}.scn`;
    const text = scenarioText(finding);
    mkdirSync(OUT, { recursive: true });
    writeFileSync(`${OUT}/${name}`, text);
    process.stdout.write(`\n${OUT}/${name}\n${text}`);
  }
  for (const finding of findings) process.stdout.write(`\n${finding}\n`);
}

async function replay(file: string): Promise<boolean> {
  const text = readFileSync(resolve(process.env.INIT_CWD ?? '.', file), 'utf8');
  const id = idOfScenario(text);
  const { finding } = await runSequence(text.split('\n'), id);
  const what = finding ? `${finding.rule}\n${finding.what}` : 'no violation';
  process.stdout.write(`${file}: Linux ${id.kernel}, machine ${id.machine}: ${what}\n`);
  return finding === null;
}

const options = {
  runs: { type: 'string', default: '10000' },
  from: { type: 'string', default: '0' },
  workers: { type: 'string', default: String(availableParallelism()) },
  injection: { type: 'string', default: INJECTION },
  'one-by-one': { type: 'string', default: String(ONE_BY_ONE) },
  replay: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

/** The arguments; those that are none end the program. */
function readArguments(): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] {
  try {
    const { values } = parseArgs({ options });
    for (const name of ['runs', 'from', 'workers', 'one-by-one'] as const)
      if (!/^\d+$/.test(values[name])) throw new Error(`--${name}: expected a number`);
    return values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function main(): Promise<boolean> {
  const values = readArguments();
  if (values.help) {
    process.stdout.write(USAGE);
    return true;
  }
  if (values.replay !== undefined) return replay(values.replay);
  const [runs, from, workers] = [values.runs, values.from, values.workers].map(Number);
  const jobs = jobsFor(runs, from, values.injection, Number(values['one-by-one']));
  const progress = new Progress(jobs.length);
  process.once('SIGINT', () => {
    process.stdout.write(`\n${report(progress, from + progress.sequences)}`);
    process.exit(130);
  });
  await work(jobs, workers, progress);
  if (process.stderr.isTTY) process.stderr.write('\n');
  process.stdout.write(report(progress, from + runs));
  writeFindings(progress);
  return progress.tally.findings.length + progress.findings.length === 0;
}

process.exitCode = (await main()) ? 0 : 1;
