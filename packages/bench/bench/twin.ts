/**
 * The model's speed against its native twin (twin/twin.c, compiled with gcc -O2): the same work on
 * the same data layout, written in C. Every round runs the twin and then the model, each kernel
 * and backing in a Node process of its own, so that both see the machine in the same mood.
 *
 *   npm run bench:twin -- [--size 16G] [--repeat 7] [--rounds 3] [--json]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatSize, parseSize } from '@pinfold/base';
import { ops, type Op } from '@pinfold/bench';
import { min } from 'simple-statistics';
import { tableText, type Column } from '../src/table.ts';
import { run, runScript } from './child.ts';

const BACKINGS = ['thp', '4k'] as const;
const KERNELS = ['6.16', '6.18'] as const;
const GIB = 2 ** 30;

/** One kernel, backing and operation: the fastest run of the twin and of the model. */
interface Pair {
  readonly backing: string;
  readonly kernel: string;
  readonly op: Op;
  readonly twinMs: number;
  readonly modelMs: number;
  readonly ratio: number;
}

/** Milliseconds of every run, by side, kernel, backing and operation. */
class Times {
  readonly #ms = new Map<string, number[]>();

  add(key: string, ms: number): void {
    this.#ms.set(key, [...(this.#ms.get(key) ?? []), ms]);
  }

  min(key: string): number {
    return min(this.#ms.get(key) ?? []);
  }
}

/** One run of the twin, which does both kernels, on one backing. */
function runTwin(twin: string, backing: string, bytes: number, repeat: number, times: Times): void {
  const lines = run(twin, [String(bytes / GIB), backing, String(repeat)])
    .trim()
    .split('\n');
  for (const line of lines) {
    const ms = JSON.parse(line) as Record<string, number>;
    for (const kernel of KERNELS) {
      for (const op of ops) {
        times.add(`twin ${kernel} ${backing} ${op}`, ms[`${op}_${kernel.replace('.', '')}_ms`]);
      }
    }
  }
}

/** One run of the model in a process of its own. */
function runModel(
  kernel: string,
  backing: string,
  bytes: number,
  repeat: number,
  times: Times,
): void {
  const script = new URL('model.ts', import.meta.url);
  const out = runScript(script, [kernel, backing, String(bytes), String(repeat)]);
  const ms = JSON.parse(out) as Record<Op, number>;
  for (const op of ops) times.add(`model ${kernel} ${backing} ${op}`, ms[op]);
}

function measurePairs(twin: string, bytes: number, repeat: number, rounds: number): Pair[] {
  const times = new Times();
  for (let round = 1; round <= rounds; round++) {
    if (process.stderr.isTTY) process.stderr.write(`round ${round} of ${rounds}\n`);
    for (const backing of BACKINGS) runTwin(twin, backing, bytes, repeat, times);
    for (const backing of BACKINGS) {
      for (const kernel of KERNELS) runModel(kernel, backing, bytes, repeat, times);
    }
  }
  return BACKINGS.flatMap((backing) =>
    ops.flatMap((op) =>
      KERNELS.map((kernel) => {
        const twinMs = times.min(`twin ${kernel} ${backing} ${op}`);
        const modelMs = times.min(`model ${kernel} ${backing} ${op}`);
        return { backing, kernel, op, twinMs, modelMs, ratio: modelMs / twinMs };
      }),
    ),
  );
}

const columns: readonly Column<Pair>[] = [
  { group: '', heading: 'backing', words: true, cell: ({ backing }) => backing },
  { group: '', heading: 'operation', words: true, cell: ({ op }) => op },
  { group: '', heading: 'kernel', words: true, cell: ({ kernel }) => kernel },
  { group: 'fastest run, ms', heading: 'twin (C)', cell: ({ twinMs }) => twinMs.toFixed(1) },
  { group: 'fastest run, ms', heading: 'model', cell: ({ modelMs }) => modelMs.toFixed(1) },
  { group: '', heading: 'model / twin', cell: ({ ratio }) => ratio.toFixed(2) },
];

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '16G' },
    repeat: { type: 'string', default: '7' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const bytes = parseSize(values.size, '--size');
if (bytes === 0 || bytes % GIB !== 0) throw new Error('--size: the twin takes whole GiB');
const temp = mkdtempSync(join(tmpdir(), 'pinfold-twin-'));
try {
  const twin = join(temp, 'twin');
  run('gcc', ['-O2', '-o', twin, new URL('../twin/twin.c', import.meta.url).pathname]);
  const pairs = measurePairs(twin, bytes, Number(values.repeat), Number(values.rounds));
  const title = `${formatSize(bytes)}, ${values.rounds} rounds of ${values.repeat} repetitions`;
  const text = values.json
    ? `${JSON.stringify({ pairs }, null, 2)}\n`
    : `${title}\n\n${tableText(columns, pairs)}`;
  process.stdout.write(text);
} finally {
  rmSync(temp, { recursive: true });
}
