// Checks what would be published: packs each package, runs publint (strict) and attw (ESM only) on
// the tarball, and uses it from a bare folder that holds its dependencies and nothing else: a
// library's first example is compiled and run, a command runs a benchmark. Needs a build, and no
// network; `npm run test:packages` goes further.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import {
  checkPrinted,
  compileExample,
  packAll,
  run,
  unpack,
  withDependencies,
  writeExample,
} from './packed.mjs';

/** @typedef {import('./packed.mjs').Packed} Packed */
/** @typedef {import('./packed.mjs').Packages} Packages */

/**
 * @param {Packed} packed
 * @returns {string[]} what package.json has to say and does not
 */
function checkManifest({ name, dir, manifest }) {
  const { repository, publishConfig, dependencies = {} } = manifest;
  /** @type {[string, boolean][]} */
  const rules = [
    ['description', Boolean(manifest.description)],
    ['keywords', manifest.keywords?.length > 2],
    ['homepage of its own', manifest.homepage?.includes(`/${dir}#`)],
    ['bugs', Boolean(manifest.bugs)],
    ['licence MIT', manifest.license === 'MIT'],
    ['repository with its folder', repository?.directory === dir && Boolean(repository.url)],
    [
      'public access and provenance',
      publishConfig?.access === 'public' && publishConfig.provenance,
    ],
    ['Node 20', manifest.engines?.node === '>=20'],
    ['exports without sources', !JSON.stringify(manifest.exports).includes('@pinfold/source')],
    [
      'nothing of ours to install beside the command',
      name !== 'pinfold' || !Object.keys(dependencies).some((other) => other.includes('pinfold')),
    ],
  ];
  return rules.filter(([, kept]) => !kept).map(([rule]) => `package.json: expected ${rule}`);
}

/**
 * @param {Packed} packed
 * @returns {string[]} files that every tarball has, and this one not
 */
function checkFiles({ tarball, manifest }) {
  const files = run('tar', ['-tzf', tarball], '.').split('\n');
  const changelog = manifest.version === '0.0.0' ? [] : ['CHANGELOG.md'];
  return ['README.md', 'LICENSE', ...changelog]
    .filter((file) => !files.includes(`package/${file}`))
    .map((file) => `no ${file} in the tarball`);
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
 * @param {Packed} packed
 * @param {string} project an empty folder
 * @param {Packages} packages
 */
function checkUse(packed, project, packages) {
  const { name, manifest } = packed;
  mkdirSync(project, { recursive: true });
  try {
    unpack(name, project, packages);
    const command = manifest.bin?.[name];
    if (command) {
      const args = ['bench', '--size', '1G', '--backing', 'thp', '--repeat', '1'];
      run('node', [join(project, 'node_modules', name, command), ...args], project);
    } else {
      writeExample(project, packed);
      compileExample(project);
      checkPrinted(packed, run('node', ['node16/example.js'], project), 'in Node');
    }
    return [];
  } catch (error) {
    const others = withDependencies(name, packages).slice(1);
    const beside = others.map((other) => other.name).join(', ') || 'nothing';
    const message = error instanceof Error ? error.message : String(error);
    return [`in a bare folder with ${beside} beside it: ${message}`];
  }
}

const work = mkdtempSync(join(tmpdir(), 'pinfold-pack-'));
try {
  const packages = packAll(work);
  for (const [name, packed] of packages) {
    const faults = [
      ...checkManifest(packed),
      ...checkFiles(packed),
      ...(await checkTarball(packed)),
      ...checkUse(packed, join(work, name.replace('/', '-')), packages),
    ];
    for (const fault of faults) console.error(`${name}: ${fault}`);
    if (faults.length > 0) process.exitCode = 1;
  }
  if (!process.exitCode) console.log(`${packages.size} packages are fit to publish`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
