// `npm run test:browser`: the built site in a real browser. Installs Debian's Chromium if there is
// none and apt-get can be used. Leaves a line "N passed, N failed" in a file, for .ci/run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cache, countTests, reporting } from './count-tests.mjs';

const names = ['chromium', 'chromium-browser', 'google-chrome'];
const resultsFile = `${cache}/browser-results.txt`;
const report = `${cache}/browser-vitest.json`;

/** @returns {string | undefined} a browser on PATH, or the one that the user names */
function findChromium() {
  const { CHROMIUM, PATH = '' } = process.env;
  if (CHROMIUM) return CHROMIUM;
  return PATH.split(delimiter)
    .flatMap((dir) => names.map((name) => join(dir, name)))
    .find((file) => existsSync(file));
}

/** @param {string[]} args */
function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync('apt-get', args, { env, stdio: ['ignore', 2, 2] }).status === 0;
}

/** Only root can install; anyone else is told what to do. */
function installChromium() {
  if (process.getuid?.() !== 0) return undefined;
  if (!aptGet(['update']) || !aptGet(['install', '-y', '--no-install-recommends', 'chromium']))
    return undefined;
  return findChromium();
}

mkdirSync(cache, { recursive: true });
rmSync(report, { force: true });
rmSync(resultsFile, { force: true });

const chromium = findChromium() ?? installChromium();
if (!chromium || !existsSync(chromium)) {
  const what = chromium ? `there is no ${chromium}` : `none of ${names.join(', ')} is on PATH`;
  console.error(`pinfold: no Chromium: ${what}; install it, or set CHROMIUM to its file`);
  process.exitCode = 1;
} else {
  const args = ['run', '--project', 'browser', ...reporting(report), ...process.argv.slice(2)];
  const result = spawnSync('vitest', args, {
    env: { ...process.env, CHROMIUM: chromium },
    stdio: 'inherit',
  });
  const { passed, failed } = countTests(report, result.status === 0);
  writeFileSync(resultsFile, `${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}
