// Runs one task of this repository: `node tooling/run.mjs <task> [arguments]`.
// Installs what is missing, then runs the task's commands on the workspace's own Node, which is a
// package like any other. Plain JavaScript without dependencies: it starts on any Node >= 18.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const stampFile = join(root, 'node_modules', '.pinfold-install');

/** @typedef {{ command: string[], cwd?: string }} Step */

/** What runs from source needs no build, and never uses a stale one. */
const source = ['node', '--conditions=@pinfold/source'];
const pinfold = [...source, join(root, 'apps/cli/src/main.ts')];

/** Everything that is published; the site, whose figures take a minute, has tasks of its own. */
const buildPackages = ['turbo', 'run', 'build', '--filter=!docs', '--output-logs=errors-only'];
const buildSite = ['turbo', 'run', 'build', '--filter=docs', '--output-logs=errors-only'];

/** What each task runs, in order. A task's last command gets the arguments.
 * @type {Record<string, Step[]>} */
const tasks = {
  start: [
    { command: ['turbo', 'run', 'build', '--filter=pinfold', '--output-logs=errors-only'] },
    { command: ['node', 'apps/cli/dist/main.js', 'bench'] },
  ],
  test: [{ command: ['node', 'tooling/verify.mjs'] }],
  // Relative paths among the arguments are relative to where the user stands, not to the root.
  pinfold: [{ command: pinfold, cwd: process.env.INIT_CWD ?? process.cwd() }],
  'bench:twin': [{ command: [...source, 'packages/bench/bench/twin.ts'] }],
  'test:sequences': [{ command: [...source, 'packages/scenario/bench/sequences.ts'] }],
  'bench:memory': [{ command: [...source, 'packages/bench/bench/memory.ts'] }],
  build: [{ command: ['turbo', 'run', 'build'] }],
  typecheck: [{ command: ['turbo', 'run', 'typecheck', 'typecheck:root'] }],
  lint: [{ command: ['eslint', '--max-warnings=0', '.'] }],
  format: [{ command: ['prettier', '--write', '--log-level=warn', '.'] }],
  'test:unit': [{ command: ['vitest', 'run', '--project', 'unit'] }],
  'test:browser': [{ command: buildSite }, { command: ['node', 'tooling/test-browser.mjs'] }],
  site: [{ command: buildSite }, { command: ['pnpm', '--filter', 'docs', 'run', 'preview'] }],
  'check:layers': [{ command: ['node', 'tooling/check-layers.mjs'] }],
  'check:docs': [{ command: ['node', 'tooling/check-docs.mjs'] }],
  'check:pack': [{ command: buildPackages }, { command: ['node', 'tooling/check-pack.mjs'] }],
  'test:packages': [{ command: buildPackages }, { command: ['node', 'tooling/test-packages.mjs'] }],
  'examples:update': [{ command: ['node', 'tooling/examples.mjs', '--update'] }],
  changeset: [{ command: ['changeset'] }],
  'release:version': [{ command: ['changeset', 'version'] }],
  'release:dry-run': [
    { command: buildPackages },
    { command: ['changeset', 'status', '--verbose'] },
    { command: ['node', 'tooling/check-pack.mjs'] },
    { command: ['pnpm', '-r', 'publish', '--dry-run', '--no-git-checks'] },
  ],
};

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`pinfold: ${message}\n`);
  process.exit(1);
}

/** Identifies what node_modules should hold: any change of it means another install. */
function installId() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml']) {
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/** Installs what the lockfile says, unless that is already there. Prints to stderr only. */
function install() {
  const id = installId();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === id) return;
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  // npm_execpath is the npm that started us, but names pnpm under `pnpm start`.
  const npmCli = process.env.npm_execpath ?? '';
  const npm = basename(npmCli) === 'npm-cli.js' ? [process.execPath, npmCli] : ['npm'];
  // --yes: the user's npm settings may say no to fetching pnpm.
  const getPnpm = ['exec', '--yes', `--package=${packageManager}`, '--', 'pnpm'];
  const [file, ...args] = [...npm, ...getPnpm, 'install', '--frozen-lockfile'];
  const result = spawnSync(file, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.error) fail(`cannot start npm to install the dependencies: ${result.error.message}`);
  if (result.status !== 0) fail('installing the dependencies failed; see the messages above');
  writeFileSync(stampFile, id);
}

/** Without a packaged Node for this platform, the host's own has to be able to run TypeScript. */
function checkNode() {
  if (existsSync(join(bin, 'node'))) return;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return;
  fail(
    `no packaged Node for ${process.platform}-${process.arch}, and Node ${process.versions.node} ` +
      'is too old to stand in for it: install Node 22.18 or newer (24 is what we test on)',
  );
}

const [task = '', ...taskArgs] = process.argv.slice(2);
const steps = Object.hasOwn(tasks, task) ? tasks[task] : undefined;
if (!steps) fail(`unknown task '${task}'; the tasks are: ${Object.keys(tasks).join(', ')}`);

install();
checkNode();

const env = {
  ...process.env,
  PATH: [bin, process.env.PATH].join(delimiter),
  ASTRO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
  TURBO_TELEMETRY_DISABLED: '1',
};
for (const step of steps) {
  const args = step === steps[steps.length - 1] ? taskArgs : [];
  const [file = '', ...rest] = [...step.command, ...args];
  const result = spawnSync(file, rest, { cwd: step.cwd ?? root, env, stdio: 'inherit' });
  if (result.error) fail(`cannot start ${file}: ${result.error.message}`);
  // A command ended by a signal has no status; shells report those as non-zero too.
  if (result.status !== 0) process.exit(result.status ?? 1);
}
