#!/usr/bin/env node
// Counts the units of work of all published measurements anew, and writes them to
// packages/bench/src/cost/units.json: after a change of counters, links or classes.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const file = new URL('../packages/bench/src/cost/units.json', import.meta.url);
const source = new URL('../packages/bench/src/cost/count-units.ts', import.meta.url);
const code = `import { countAllUnits } from ${JSON.stringify(source.href)};
process.stdout.write(JSON.stringify(countAllUnits(), null, 2) + '\\n');`;
const node = new URL('../node_modules/.bin/node', import.meta.url).pathname;
const args = ['--conditions=@pinfold/source', '--input-type=module-typescript', '-e', code];
const { status, stdout } = spawnSync(node, args, {
  encoding: 'utf8',
  maxBuffer: 2 ** 26,
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (status !== 0) process.exit(1);
writeFileSync(file, stdout);
