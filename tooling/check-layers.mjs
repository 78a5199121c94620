// Holds tooling/layers.json against every package.json and every import: what a package may import,
// that it declares what it imports, that nothing reaches into another package's files, and that no
// files import each other in a circle. ESLint says most of it in the editor (eslint.config.js); this
// also sees `import()`, circles, and packages that are not in the table yet.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {boolean} browser whether it runs in a browser too
 * @property {boolean} [bundled] whether it is published with what it imports inside: then its
 *   devDependencies are in it
 * @property {string[]} mayImport
 */
/** @typedef {Record<string, Layer>} Table from a package's folder to its layer */
/** @typedef {Record<'dependencies' | 'devDependencies' | 'peerDependencies', Record<string, string>>} Manifest */

/** Data that any package's tests may read; nothing that is published may depend on it. */
const DATA = 'recordings';

/**
 * A path in the table that leads from a package back to itself.
 * @param {Map<string, Layer>} byName
 * @param {string} name
 * @param {string[]} [path]
 * @returns {string[] | undefined}
 */
function findCycle(byName, name, path = []) {
  if (path.includes(name)) return [...path, name];
  for (const next of byName.get(name)?.mayImport ?? []) {
    const cycle = findCycle(byName, next, [...path, name]);
    if (cycle) return cycle;
  }
  return undefined;
}

/** `@scope/name/file` to `@scope/name`, `name:module` to `name`. @param {string} specifier */
const packageOf = (specifier) =>
  specifier
    .replace(/:.*/, '')
    .split('/', specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** What a package does not publish. @param {string} file relative to the package's folder */
const isTest = (file) => /^(?:test|bench|examples)\/|\.test\.ts$/.test(file);

/**
 * Checks every package of a workspace.
 * @param {string} root the workspace's folder
 * @param {Table} table
 * @returns {string[]} one line per fault, `file: what is wrong`
 */
export function checkLayers(root, table) {
  /** @type {string[]} */
  const faults = [];
  const byName = new Map(Object.values(table).map((layer) => [layer.name, layer]));

  for (const { name, mayImport } of byName.values()) {
    const cycle = findCycle(byName, name);
    if (cycle) faults.push(`tooling/layers.json: a cycle: ${cycle.join(' -> ')}`);
    for (const other of mayImport.filter((other) => !byName.has(other))) {
      faults.push(`tooling/layers.json: ${name} may import ${other}, which is no package here`);
    }
  }
  for (const file of globSync('{packages,apps}/*/package.json', { cwd: root }).sort()) {
    if (!table[dirname(file)])
      faults.push(`${file}: ${dirname(file)} is not in tooling/layers.json`);
  }

  for (const [dir, layer] of Object.entries(table)) {
    const manifestFile = join(dir, 'package.json');
    if (!existsSync(join(root, manifestFile))) {
      faults.push(`tooling/layers.json: ${dir} has no package.json`);
      continue;
    }
    const manifest = JSON.parse(readFileSync(join(root, manifestFile), 'utf8'));
    if (manifest.name !== layer.name) {
      faults.push(`${manifestFile}: name is ${manifest.name}, the table says ${layer.name}`);
    }
    faults.push(
      ...checkManifest(manifest, layer, byName).map((fault) => `${manifestFile}: ${fault}`),
    );
    /** @type {Map<string, string[]>} */
    const imports = new Map();
    for (const file of globSync(`${dir}/{src,test,bench,examples}/**/*.ts`, { cwd: root }).sort()) {
      const text = readFileSync(join(root, file), 'utf8');
      const fault = checkFile(root, dir, file, text, manifest, layer, byName);
      faults.push(...fault.map((what) => `${file}${what}`));
      const own = importedAtRunTime(text).filter((specifier) => specifier.startsWith('.'));
      imports.set(
        file,
        own.map((specifier) => join(dirname(file), specifier)),
      );
    }
    for (const circle of findCircles(imports)) {
      faults.push(`${circle[0]}: files that import each other: ${circle.join(' -> ')}`);
    }
  }
  return faults;
}

/**
 * What a file imports when it runs: type-only imports leave nothing and may go both ways.
 * @param {string} text
 */
function importedAtRunTime(text) {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest);
  const atRunTime = new Set();
  const inStatements = new Set();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
    const { moduleSpecifier } = statement;
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier)) continue;
    inStatements.add(moduleSpecifier.text);
    const typeOnly = ts.isImportDeclaration(statement)
      ? statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
      : statement.isTypeOnly;
    if (!typeOnly) atRunTime.add(moduleSpecifier.text);
  }
  // `import()`, which may stand anywhere. A type of that form may too: rare, and not told apart.
  for (const { fileName } of ts.preProcessFile(text).importedFiles) {
    if (!inStatements.has(fileName)) atRunTime.add(fileName);
  }
  return [...atRunTime];
}

/**
 * Circles of imports: one for every import that leads back to a file on the way to it.
 * @param {Map<string, string[]>} imports what each file imports
 * @returns {string[][]}
 */
export function findCircles(imports) {
  /** @type {string[][]} */
  const circles = [];
  const done = new Set();
  /** @type {string[]} */
  const path = [];
  /** @param {string} file */
  const visit = (file) => {
    const seen = path.indexOf(file);
    if (seen !== -1) circles.push([...path.slice(seen), file]);
    if (seen !== -1 || done.has(file)) return;
    path.push(file);
    for (const next of imports.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
  return circles;
}

/**
 * @param {Manifest} manifest
 * @param {Layer} layer
 * @param {Map<string, Layer>} byName
 */
function checkManifest(manifest, layer, byName) {
  const faults = [];
  for (const kind of /** @type {const} */ ([
    'dependencies',
    'devDependencies',
    'peerDependencies',
  ])) {
    for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
      if (!byName.has(name)) {
        if (range !== 'catalog:') faults.push(`${name} takes its version from the catalog`);
        continue;
      }
      const forTests = name === DATA && kind === 'devDependencies';
      if (!layer.mayImport.includes(name) && !forTests) {
        faults.push(`the table does not let ${layer.name} depend on ${name} (${kind})`);
      }
      if (range !== 'workspace:^') faults.push(`${name} is ${range}, not workspace:^`);
    }
  }
  return faults;
}

/**
 * @param {string} root
 * @param {string} dir
 * @param {string} file
 * @param {string} text what is in the file
 * @param {Manifest} manifest
 * @param {Layer} layer
 * @param {Map<string, Layer>} byName
 */
function checkFile(root, dir, file, text, manifest, layer, byName) {
  const test = isTest(relative(dir, file));
  const dev = (test || layer.bundled) && manifest.devDependencies;
  const declared = { ...manifest.dependencies, ...dev };
  /** @type {string[]} */
  const faults = [];
  for (const { fileName: specifier, pos } of ts.preProcessFile(text).importedFiles) {
    const line = text.slice(0, pos).split('\n').length;
    /** @param {string} fault */
    const report = (fault) => faults.push(`:${line} '${specifier}': ${fault}`);
    const name = packageOf(specifier);

    if (specifier.startsWith('.')) {
      if (relative(dir, relative(root, resolve(root, dirname(file), specifier))).startsWith('..')) {
        report('a relative import leaves the package');
      }
    } else if (specifier.startsWith('node:') || builtinModules.includes(name)) {
      if (layer.browser && !test) report('this package also runs in a browser');
    } else if (name === layer.name) {
      if (!test) report('a package does not import itself by name');
    } else if (byName.has(name)) {
      if (!layer.mayImport.includes(name) && !(test && name === DATA)) {
        report(`the table does not let ${layer.name} import it`);
      } else if (specifier !== name && name !== DATA) {
        report('a deep import; use what the package exports');
      } else if (!(name in declared)) {
        report('not declared in package.json');
      }
    } else if (!(name in declared)) {
      report('not declared in package.json');
    }
  }
  return faults;
}

if (import.meta.main) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  /** @type {Table} */
  const table = JSON.parse(readFileSync(join(root, 'tooling/layers.json'), 'utf8'));
  const faults = checkLayers(root, table);
  for (const fault of faults) console.error(fault);
  if (faults.length === 0)
    console.log(`${Object.keys(table).length} packages keep to their layers`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
