// Runs before the scripts that a clone can begin with, `npm start` and `npm test`: installs what
// is missing. npm then finds the workspace's own Node, which is a package like any other, before the
// one that runs this. Plain JavaScript without dependencies: it starts on any Node >= 18.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const stampFile = join(root, 'node_modules', '.pinfold-install');

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

install();
checkNode();
