// `npm test`: every check of this repository, one after the other, and a table at the end.
// Runs all of them even if one fails, except that nothing is worth checking after a failed build.
// Leaves a line "N passed, N failed" in the results file, for .ci/run: each test counts, and each
// other step counts as one.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cache, countTests, reporting } from './count-tests.mjs';

const resultsFile = `${cache}/results.txt`;
const vitestReport = `${cache}/vitest.json`;

/** @type {Record<string, string[]>} */
const steps = {
  // The site is built by `npm run test:browser`.
  build: ['turbo', 'run', 'build', '--filter=!docs', '--output-logs=errors-only'],
  'type check': ['turbo', 'run', 'typecheck', 'typecheck:root', '--output-logs=errors-only'],
  lint: ['eslint', '--max-warnings=0', '.'],
  format: ['prettier', '--check', '--log-level=warn', '.'],
  layers: ['node', 'tooling/check-layers.mjs'],
  docs: ['node', 'tooling/check-docs.mjs'],
  packages: ['node', 'tooling/check-pack.mjs'],
  'peer dependencies': ['pnpm', 'peers', 'check'],
  tests: ['vitest', 'run', '--project', 'unit', ...reporting(vitestReport)],
};

mkdirSync(cache, { recursive: true });
rmSync(resultsFile, { force: true });
rmSync(vitestReport, { force: true });

const total = { passed: 0, failed: 0 };
const table = [];
for (const [name, [file = '', ...args]] of Object.entries(steps)) {
  console.log(`\n── ${name}`);
  const start = performance.now();
  const result = spawnSync(file, args, { stdio: 'inherit' });
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(6);
  if (result.error) console.error(`cannot start ${file}: ${result.error.message}`);
  const ok = result.status === 0;
  const count = name === 'tests' ? countTests(vitestReport, ok) : { passed: +ok, failed: +!ok };
  total.passed += count.passed;
  total.failed += count.failed;
  const detail = name === 'tests' ? `  ${count.passed} passed, ${count.failed} failed` : '';
  table.push(`${count.failed === 0 ? 'ok    ' : 'FAILED'} ${seconds} s  ${name}${detail}`);
  if (name === 'build' && !ok) {
    table.push('the build failed: nothing else was run');
    break;
  }
}

console.log(`\n── summary\n${table.join('\n')}`);
writeFileSync(resultsFile, `${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
