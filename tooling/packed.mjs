// The packages as they would be published: packs them, unpacks them as an installation would, and
// says what a user's project that has only them looks like.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exampleOutput } from './examples.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {object} Packed
 * @property {string} name
 * @property {string} dir the package's folder in the workspace, relative to it
 * @property {string} tarball
 * @property {any} manifest the packed package.json
 */

/** @typedef {Map<string, Packed>} Packages by name */

/**
 * Runs a command and gives what it printed; throws that if it fails.
 * @param {string} file
 * @param {string[]} args
 * @param {string} cwd
 * @param {string} [input] standard input
 */
export function run(file, args, cwd, input = '') {
  const result = spawnSync(file, args, { cwd, input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${file}: ${result.stderr}${result.stdout}`);
  return result.stdout;
}

/**
 * Packs every package that is not private. Needs a build.
 * @param {string} into the folder for the tarballs
 * @returns {Packages}
 */
export function packAll(into) {
  /** @type {Packages} */
  const packages = new Map();
  /** @type {Record<string, { name: string }>} */
  const table = JSON.parse(readFileSync(join(root, 'tooling/layers.json'), 'utf8'));
  for (const [dir, { name }] of Object.entries(table)) {
    const cwd = join(root, dir);
    if (JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')).private) continue;
    const args = ['pack', '--json', '--pack-destination', into];
    const { filename: tarball } = JSON.parse(run('pnpm', args, cwd));
    const manifest = JSON.parse(run('tar', ['-xzOf', tarball, 'package/package.json'], into));
    packages.set(name, { name, dir, tarball, manifest });
  }
  return packages;
}

/**
 * A package and all that it depends on among ours.
 * @param {string} name
 * @param {Packages} packages
 * @returns {Packed[]}
 */
export function withDependencies(name, packages) {
  /** @type {Set<Packed>} */
  const all = new Set();
  /** @param {string} each */
  const add = (each) => {
    const packed = packages.get(each);
    if (!packed || all.has(packed)) return;
    all.add(packed);
    Object.keys(packed.manifest.dependencies ?? {}).forEach(add);
  };
  add(name);
  return [...all];
}

/**
 * Unpacks a package and all that it depends on into a project, as an installation would, without
 * the network: someone else's package is the workspace's own copy, which finds its own dependencies.
 * @param {string} name
 * @param {string} project
 * @param {Packages} packages
 */
export function unpack(name, project, packages) {
  const modules = join(project, 'node_modules');
  for (const { name: each, dir, tarball, manifest } of withDependencies(name, packages)) {
    mkdirSync(join(modules, each), { recursive: true });
    run('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, each)], modules);
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      const place = join(modules, dependency);
      if (packages.has(dependency) || existsSync(place)) continue;
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(realpathSync(join(root, dir, 'node_modules', dependency)), place);
    }
  }
}

/** How a user's compiler may look for modules. */
const RESOLUTIONS = {
  node16: { module: 'node16', moduleResolution: 'node16' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};

/**
 * Makes a project of a package's first example, as a user writes it.
 * @param {string} project a folder in which the package is installed
 * @param {Packed} packed
 */
export function writeExample(project, { dir }) {
  copyFileSync(join(root, dir, 'examples/readme.ts'), join(project, 'example.ts'));
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  for (const [name, resolution] of Object.entries(RESOLUTIONS)) {
    const compilerOptions = {
      ...resolution,
      ...{ target: 'es2023', lib: ['es2023', 'dom'], types: [], strict: true },
      ...{ skipLibCheck: false, outDir: name },
    };
    const config = { compilerOptions, files: ['example.ts'] };
    writeFileSync(join(project, `tsconfig.${name}.json`), JSON.stringify(config));
  }
}

/**
 * Compiles the example under each resolution: `node16/example.js` and `bundler/example.js`.
 * @param {string} project
 */
export function compileExample(project) {
  for (const name of Object.keys(RESOLUTIONS)) {
    run('tsc', ['-p', `tsconfig.${name}.json`], project);
  }
}

/**
 * Compares what the first example printed with what the README says.
 * @param {Packed} packed
 * @param {string} printed
 * @param {string} where
 */
export function checkPrinted({ dir }, printed, where) {
  const expected = exampleOutput(join(dir, 'README.md'), join(dir, 'examples/readme.ts'));
  if (printed === expected) return;
  throw new Error(`${where}: the README's example printed\n${printed}instead of\n${expected}`);
}
