// Checks what would be published: packs each package, runs publint (strict) and attw (ESM only) on
// the tarball, and imports it from a bare folder that holds its dependencies and nothing else.
// Needs a build.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/**
 * @typedef {object} Packed
 * @property {string} dir the package's folder in the workspace
 * @property {string} tarball
 * @property {any} manifest the packed package.json
 */

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs a command and gives what it printed; throws that if it fails.
 * @param {string} file
 * @param {string[]} args
 * @param {string} cwd
 */
function run(file, args, cwd) {
  const result = spawnSync(file, args, { cwd, encoding: 'utf8' });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${file}: ${result.stderr || result.stdout}`);
  return result.stdout;
}

/**
 * Packs every package that is not private.
 * @param {string} into the folder for the tarballs
 * @returns {Map<string, Packed>} by package name
 */
function packAll(into) {
  /** @type {Map<string, Packed>} */
  const packages = new Map();
  /** @type {Record<string, { name: string }>} */
  const table = JSON.parse(readFileSync(join(root, 'tooling/layers.json'), 'utf8'));
  for (const [dir, { name }] of Object.entries(table)) {
    const cwd = join(root, dir);
    if (JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')).private) continue;
    const args = ['pack', '--json', '--pack-destination', into];
    const { filename: tarball } = JSON.parse(run('pnpm', args, cwd));
    const manifest = JSON.parse(run('tar', ['-xzOf', tarball, 'package/package.json'], into));
    packages.set(name, { dir: cwd, tarball, manifest });
  }
  return packages;
}

/**
 * @param {Packed} packed
 * @returns {Promise<string[]>}
 */
async function checkTarball({ tarball, manifest }) {
  const bytes = readFileSync(tarball);
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages } = await publint({ pack: { tarball: data }, strict: true });
  const faults = messages.map((message) => {
    return `publint: ${formatMessage(message, manifest, { color: false }) ?? message.code}`;
  });
  if (JSON.stringify(manifest.exports).includes('@pinfold/source')) {
    faults.push('exports: the source condition points at files that are not published');
  }
  if (!manifest.exports['.']) return faults; // a command has no types to resolve

  const analysis = await checkPackage(createPackageFromTarballData(bytes));
  if (!analysis.types) return [...faults, 'attw: no types'];
  for (const problem of analysis.problems) {
    // As attw's profile esm-only: resolutions that know no ESM do not count.
    const kind = 'resolutionKind' in problem ? problem.resolutionKind : undefined;
    if (kind === 'node10' || kind === 'node16-cjs') continue;
    faults.push(`attw: ${problem.kind} ${JSON.stringify(problem)}`);
  }
  return faults;
}

/**
 * Unpacks a package and all that it depends on, as an installation would.
 * @param {string} name
 * @param {string} modules a node_modules folder
 * @param {Map<string, Packed>} packages
 * @param {Set<string>} [done]
 */
function install(name, modules, packages, done = new Set()) {
  const packed = packages.get(name);
  if (!packed || done.has(name)) return;
  done.add(name);
  mkdirSync(join(modules, name), { recursive: true });
  run('tar', ['-xzf', packed.tarball, '--strip-components=1', '-C', join(modules, name)], modules);
  for (const dependency of Object.keys(packed.manifest.dependencies ?? {})) {
    install(dependency, modules, packages, done);
    if (packages.has(dependency) || done.has(dependency)) continue;
    // Someone else's package: the workspace's own copy, which finds its own dependencies.
    done.add(dependency);
    mkdirSync(dirname(join(modules, dependency)), { recursive: true });
    symlinkSync(
      realpathSync(join(packed.dir, 'node_modules', dependency)),
      join(modules, dependency),
    );
  }
}

/**
 * @param {string} name
 * @param {string} bare an empty folder
 * @param {Map<string, Packed>} packages
 */
function checkImport(name, bare, packages) {
  const modules = join(bare, 'node_modules');
  mkdirSync(modules, { recursive: true });
  try {
    install(name, modules, packages);
    const command = packages.get(name)?.manifest.bin?.[name];
    if (command) {
      run('node', [join(modules, name, command), '--help'], bare);
    } else {
      const code = `if (Object.keys(await import('${name}')).length === 0) throw 'no exports'`;
      run('node', ['--input-type=module', '--eval', code], bare);
    }
    return [];
  } catch (error) {
    return [`from a bare folder: ${error instanceof Error ? error.message : String(error)}`];
  }
}

const work = mkdtempSync(join(tmpdir(), 'pinfold-pack-'));
try {
  const packages = packAll(work);
  for (const [name, packed] of packages) {
    const faults = [
      ...(await checkTarball(packed)),
      ...checkImport(name, join(work, name.replace('/', '-')), packages),
    ];
    for (const fault of faults) console.error(`${name}: ${fault}`);
    if (faults.length > 0) process.exitCode = 1;
  }
  if (!process.exitCode) console.log(`${packages.size} packages are fit to publish`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
