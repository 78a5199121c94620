import { kernelVersions } from '@pinfold/vfio-type1';
import { machines } from '../test/sequences-machines.ts';
import { runRandom, shrink } from '../test/sequences-run.ts';
const [runs = '100', from = '0', only = ''] = process.argv.slice(2);
const seen = new Map<string, number>();
const t = performance.now();
const ops = new Map<string, [number, number]>();
let pinned = 0,
  copied = 0,
  steps = 0;
for (let seed = Number(from); seed < Number(from) + Number(runs); seed++) {
  for (const m of machines) {
    if (only && m.name !== only) continue;
    const kernel = kernelVersions[seed % 4].series;
    const id = { kernel, machine: m.name, seed };
    const result = await runRandom(id);
    pinned += result.pinned;
    copied += result.copied;
    for (const [op, [a, g]] of result.done) {
      const o = ops.get(op) ?? [0, 0];
      ops.set(op, [o[0] + a, o[1] + g]);
      steps += a;
    }
    if (!result.finding || (process.env.KNOWN ?? '').split('|').includes(result.finding.rule))
      continue;
    const n = (seen.get(result.finding.rule) ?? 0) + 1;
    seen.set(result.finding.rule, n);
    if (n > 1) continue;
    console.log(id, result.finding);
    if (!process.env.NOSHRINK)
      console.log((await shrink(result.lines, id, result.finding)).join('\n'));
  }
}
console.log(seen, performance.now() - t, { pinned, copied, steps });
console.log([...ops].map(([o, [a, g]]) => `${o} ${g}/${a}`).join(', '));
