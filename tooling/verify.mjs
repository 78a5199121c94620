// `npm test`: every check of this repository, and a table at the end. The tests run beside the other
// checks, which come one after the other, as most of these use one core; what they print is shown
// when they end. A failed build ends it, as nothing is worth checking then; after any other failure
// the rest still runs. Leaves a line "N passed, N failed" in the results file, for .ci/run: each test
// counts, and each other step counts as one.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cache, countTests, reporting } from './count-tests.mjs';

const resultsFile = `${cache}/results.txt`;
const durationFile = `${cache}/duration.txt`;
const vitestReport = `${cache}/vitest.json`;
/** What all of it takes of a processor of 2024 on a fresh clone. */
const CPU_MINUTES = 8;

const turbo = ['turbo', 'run', '--concurrency=100%', '--output-logs=errors-only'];

/** @typedef {[name: string, command: string[]]} Step */

/** The site is built by `npm run test:browser`. @type {Step} */
const build = ['build', [...turbo, 'build', '--filter=!docs']];
/** @type {Step} */
const tests = ['tests', ['vitest', 'run', '--project', 'unit', ...reporting(vitestReport)]];
/** @type {Step[]} */
const checks = [
  ['type check', [...turbo, 'typecheck', 'typecheck:root']],
  ['lint', [...turbo, 'lint', 'lint:root']],
  ['format', ['prettier', '--check', '--log-level=warn', '.']],
  ['layers', ['node', 'tooling/check-layers.mjs']],
  ['docs', ['node', 'tooling/check-docs.mjs']],
  ['spelling', ['cspell', '--no-progress', '--quiet', '**/*.{ts,mjs,md,mdx,astro}']],
  ['unused code', ['knip', '--no-progress', '--no-config-hints']],
  ['packages', ['node', 'tooling/check-pack.mjs']],
  ['peer dependencies', ['pnpm', 'peers', 'check']],
];

const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
const env = { ...color, ...process.env, TURBO_TELEMETRY_DISABLED: '1' };
const total = { passed: 0, failed: 0 };
/** @type {string[]} */
const table = [];

/** @param {number} since of `performance.now` */
const secondsSince = (since) => ((performance.now() - since) / 1000).toFixed(1).padStart(6);

/**
 * @param {Step} step
 * @param {'live' | 'at the end'} shown when its output is shown
 * @returns {Promise<boolean>} whether it passed
 */
async function run([name, [file = '', ...args]], shown) {
  const start = performance.now();
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = `\n── ${name}\n`;
  /** @param {string} part */
  const print = (part) => {
    if (shown === 'live') process.stdout.write(part);
    else text += part;
  };
  if (shown === 'live') print(text);
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', print);
  const ok = await new Promise((resolve) => {
    child.on('error', (error) => {
      print(`cannot start ${file}: ${error.message}\n`);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
  if (shown === 'at the end') process.stdout.write(text);
  const count = name === 'tests' ? countTests(vitestReport, ok) : { passed: +ok, failed: +!ok };
  total.passed += count.passed;
  total.failed += count.failed;
  const detail = name === 'tests' ? `  ${count.passed} passed, ${count.failed} failed` : '';
  table.push(
    `${count.failed === 0 ? 'ok    ' : 'FAILED'} ${secondsSince(start)} s  ${name}${detail}`,
  );
  return ok;
}

/** What the last run here took, or a guess. */
function expectedDuration() {
  const cores = availableParallelism();
  const minutes = Math.max(2, Math.round(CPU_MINUTES / cores));
  try {
    return `the last run here took ${readFileSync(durationFile, 'utf8')}`;
  } catch {
    return `takes about ${minutes} minutes on ${cores} idle cores`;
  }
}

mkdirSync(cache, { recursive: true });
rmSync(resultsFile, { force: true });
rmSync(vitestReport, { force: true });

const start = performance.now();
console.log(`every check and every test: ${expectedDuration()}`);
if (await run(build, 'live')) {
  const testing = run(tests, 'live');
  for (const check of checks) await run(check, 'at the end');
  await testing;
  const seconds = Math.round((performance.now() - start) / 1000);
  writeFileSync(durationFile, `${Math.floor(seconds / 60)} min ${seconds % 60} s`);
} else table.push('the build failed: nothing else was run');

console.log(`\n── summary\n${table.join('\n')}\n${secondsSince(start)} s together`);
writeFileSync(resultsFile, `${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
