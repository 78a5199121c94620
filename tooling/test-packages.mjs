// Uses the packages as somebody does who has their tarballs and nothing else of this repository.
// Each is installed with npm into an empty project, beside the tarballs of the packages of ours that it
// needs; its first example then runs on Node 20 and on this Node, and a bundle of it in Chromium
// (CHROMIUM names another than /usr/bin/chromium). The command runs from its tarball by npx. npm
// gets what is not ours from the registry or its cache. Needs a build.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright';
import { build, preview } from 'vite';
import {
  checkPrinted,
  compileExample,
  packAll,
  root,
  run,
  withDependencies,
  writeExample,
} from './packed.mjs';

/** @typedef {import('./packed.mjs').Packed} Packed */
/** @typedef {import('./packed.mjs').Packages} Packages */

/** The oldest Node that the packages run on, as a package of the registry. */
const OLDEST_NODE = `node-${process.platform}-${process.arch}@20`;
/** The Node of the workspace, which runs TypeScript, and so an algorithm in a `.ts` file. */
const THIS_NODE = process.execPath;
const NPM_FLAGS = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
const RECORDING = 'packages/recordings/6.18.15/main/b01-anon4k.json.gz';

/**
 * @param {string} work
 * @returns {string} the oldest Node
 */
function oldestNode(work) {
  const project = join(work, 'node-20');
  mkdirSync(project);
  run('npm', ['install', '--prefix', project, ...NPM_FLAGS, OLDEST_NODE], project);
  return join(project, 'node_modules', OLDEST_NODE.split('@')[0] ?? '', 'bin/node');
}

/**
 * Runs a built page in Chromium and gives what it printed; a fault of the page is thrown.
 * @param {import('playwright').Browser} browser
 * @param {string} project with `dist`
 */
async function runInChromium(browser, project) {
  const server = await preview({ root: project, logLevel: 'error', preview: { port: 0 } });
  const page = await browser.newPage();
  try {
    let printed = '';
    /** @type {string[]} */
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'log') printed += `${message.text()}\n`;
      else faults.push(message.text());
    });
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    await page.waitForFunction('window.done === true');
    if (faults.length > 0) throw new Error(`in Chromium: ${faults.join('\n')}`);
    return printed;
  } finally {
    await page.close();
    await server.close();
  }
}

/**
 * Bundles the compiled example into a page, as an app does that uses the package.
 * @param {string} project
 */
async function buildPage(project) {
  const script = "await import('./bundler/example.js'); window.done = true;";
  writeFileSync(
    join(project, 'index.html'),
    `<!doctype html><link rel="icon" href="data:,"><script type="module">${script}</script>`,
  );
  await build({ root: project, logLevel: 'error', build: { target: 'es2022' } });
}

/**
 * @param {Packed} packed
 * @param {string} project an empty folder
 * @param {Packages} packages
 * @param {string[]} nodes
 * @param {import('playwright').Browser} browser
 */
async function useLibrary(packed, project, packages, nodes, browser) {
  writeExample(project, packed);
  const tarballs = withDependencies(packed.name, packages).map(({ tarball }) => tarball);
  run('npm', ['install', ...NPM_FLAGS, ...tarballs], project);
  compileExample(project);
  for (const node of nodes) {
    checkPrinted(packed, run(node, ['node16/example.js'], project), `with ${node}`);
  }
  await buildPage(project);
  checkPrinted(packed, await runInChromium(browser, project), 'in Chromium');
}

/**
 * The command by npx, and its threads and an own algorithm on each Node.
 * @param {Packed} packed
 * @param {string} project an empty folder
 * @param {string[]} nodes
 */
function useCommand({ tarball, name, manifest }, project, nodes) {
  const quick = ['--size', '1G', '--backing', 'thp', '--repeat', '1'];
  const npx = ['exec', '--yes', ...NPM_FLAGS, `--package=${tarball}`, '--', name];
  const printed = run('npm', [...npx, 'bench', ...quick], project);
  if (!printed.includes('VFIO_IOMMU_UNMAP_DMA of 1G')) throw new Error(`bench: ${printed}`);

  run('npm', ['install', ...NPM_FLAGS, tarball], project);
  const command = join(project, 'node_modules', name, manifest.bin[name]);
  for (const node of nodes) {
    const verified = run(node, [command, 'verify', join(root, RECORDING)], project);
    if (!/^[1-9]\d* passed, 0 failed, 0 skipped$/m.test(verified)) throw new Error(verified);
    const check = ['check', '--algorithm', 'series-1-4', '--kernel', '6.18', '--runs', '100'];
    const checked = run(node, [command, ...check], project);
    if (!checked.includes('nothing violated')) throw new Error(checked);
  }
  run(THIS_NODE, [command, 'new-algorithm', 'mine'], project);
  const compare = ['compare', '--file', 'mine.ts', ...quick, '--no-time'];
  const compared = run(THIS_NODE, [command, ...compare], project);
  if (!/^mine +-?\d/m.test(compared.split('Change against')[0] ?? '')) throw new Error(compared);
}

const work = mkdtempSync(join(tmpdir(), 'pinfold-packages-'));
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const packages = packAll(work);
  const nodes = [oldestNode(work), THIS_NODE];
  for (const [name, packed] of packages) {
    const project = join(work, name.replace('/', '-'));
    mkdirSync(project);
    try {
      if (packed.manifest.bin) useCommand(packed, project, nodes);
      else await useLibrary(packed, project, packages, nodes, browser);
      console.log(`${name}: ok`);
    } catch (error) {
      console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
} finally {
  await browser.close();
  rmSync(work, { recursive: true, force: true });
}
