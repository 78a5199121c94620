import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLayers, type Table } from '../check-layers.mjs';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pinfold-layers-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function write(files: Record<string, string>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
}

/** What our ESLint settings report on files of a workspace, as `file: rule`. */
async function lint(files: Record<string, string>): Promise<string[]> {
  write(files);
  const eslint = new ESLint({
    cwd: root,
    overrideConfigFile: resolve('eslint.config.js'),
    // The rules under test need no types, and these files belong to no TypeScript project.
    overrideConfig: tseslint.configs.disableTypeChecked,
  });
  const results = await eslint.lintFiles(Object.keys(files));
  return results.flatMap(({ filePath, messages }) =>
    messages.map(
      ({ ruleId, message }) => `${filePath.slice(root.length + 1)}: ${ruleId ?? message}`,
    ),
  );
}

describe('ESLint', () => {
  test.each([
    ['a higher layer', "import '@pinfold/vfio-type1';", 'no-restricted-imports'],
    ['a peer', "import '@pinfold/iommu';", 'no-restricted-imports'],
    ['the package itself', "import '@pinfold/mm';", 'no-restricted-imports'],
    ['recordings', "import 'recordings/manifest.json';", 'no-restricted-imports'],
    ['a file of another package', "import '@pinfold/base/src/units.ts';", 'no-restricted-imports'],
    [
      'a type of a higher layer',
      "import type { T } from '@pinfold/bench';\nexport type U = T;",
      'no-restricted-imports',
    ],
    [
      'a re-export of a higher layer',
      "export { a } from '@pinfold/bench';",
      'no-restricted-imports',
    ],
    ['a module of Node', "import 'node:fs';", 'no-restricted-imports'],
    ['a module of Node, by its old name', "import 'fs/promises';", 'no-restricted-imports'],
    ['a global of Node', 'export const path = process.cwd();', 'no-restricted-globals'],
    ['the console', "console.log('pinned');", 'no-console'],
    ['an export of everything', "export * from './b.ts';", 'no-restricted-syntax'],
  ])('reports %s in mm', async (_, code, rule) => {
    expect(await lint({ 'packages/mm/src/a.ts': code })).toContain(`packages/mm/src/a.ts: ${rule}`);
  });

  test('reports Node in the sources of the package named bench, too', async () => {
    const found = await lint({ 'packages/bench/src/a.ts': "import 'node:fs';" });
    expect(found).toEqual(['packages/bench/src/a.ts: no-restricted-imports']);
  });

  test('is content with a lower layer, Node in tests, and a package used by its example', async () => {
    const found = await lint({
      'packages/mm/src/a.ts': "import '@pinfold/base';",
      'packages/mm/src/a.test.ts': "import 'node:fs';",
      'packages/mm/test/b.test.ts': "import 'recordings/manifest.json';",
      'packages/mm/examples/readme.ts': "import '@pinfold/mm';\nconsole.log('pinned');",
      'apps/cli/src/main.ts':
        "import 'node:fs';\nimport '@pinfold/bench';\nconsole.log(process.pid);",
    });
    expect(found).toEqual([]);
  });
});

describe('check-layers', () => {
  const table: Table = {
    'packages/low': { name: '@pinfold/low', browser: true, mayImport: [] },
    'packages/high': { name: '@pinfold/high', browser: true, mayImport: ['@pinfold/low'] },
  };
  const sound = {
    'packages/low/package.json': '{ "name": "@pinfold/low" }',
    'packages/high/package.json':
      '{ "name": "@pinfold/high", "dependencies": { "@pinfold/low": "workspace:^" } }',
    'packages/high/src/index.ts': "export { a } from '@pinfold/low';",
  };

  test('is content with a sound workspace', () => {
    write(sound);
    expect(checkLayers(root, table)).toEqual([]);
  });

  test.each([
    ['an upward import', 'packages/low/src/a.ts', "import '@pinfold/high';", 'does not let'],
    [
      'an upward import at run time',
      'packages/low/src/a.ts',
      "await import('@pinfold/high');",
      'does not let',
    ],
    [
      'an upward dependency',
      'packages/low/package.json',
      '{ "name": "@pinfold/low", "dependencies": { "@pinfold/high": "workspace:^" } }',
      'does not let',
    ],
    ['a deep import', 'packages/high/src/a.ts', "import '@pinfold/low/src/a.ts';", 'deep import'],
    [
      'a way out of the package',
      'packages/high/src/a.ts',
      "import '../../low/src/a.ts';",
      'leaves the package',
    ],
    ['Node at run time', 'packages/high/src/a.ts', "await import('node:fs');", 'browser'],
    ['an undeclared package', 'packages/high/src/a.ts', "import 'vitest';", 'not declared'],
    [
      'a pinned sibling',
      'packages/high/package.json',
      '{ "name": "@pinfold/high", "dependencies": { "@pinfold/low": "1.0.0" } }',
      'not workspace:^',
    ],
    [
      'a version outside the catalog',
      'packages/low/package.json',
      '{ "name": "@pinfold/low", "dependencies": { "x": "1.0.0" } }',
      'catalog',
    ],
    [
      'a package without a layer',
      'packages/new/package.json',
      '{ "name": "@pinfold/new" }',
      'not in tooling/layers.json',
    ],
  ])('reports %s', (_, file, text, message) => {
    write({ ...sound, [file]: text });
    const faults = checkLayers(root, table);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(file);
    expect(faults[0]).toContain(message);
  });

  test('lets sources import devDependencies where these are published inside, and only there', () => {
    write({
      ...sound,
      'packages/high/package.json':
        '{ "name": "@pinfold/high", "devDependencies": { "@pinfold/low": "workspace:^" } }',
    });
    const [fault, ...others] = checkLayers(root, table);
    expect(others).toEqual([]);
    expect(fault).toMatch(/^packages\/high\/src\/index\.ts.*not declared/);
    const bundled = { ...table['packages/high'], bundled: true };
    expect(checkLayers(root, { ...table, 'packages/high': bundled })).toEqual([]);
  });

  test.each([
    ['imports', "import { b } from './b.ts';\nexport const a = (): number => b();"],
    ['re-exports', "export { b as a } from './b.ts';"],
    ['imports at run time', "export const a = async () => import('./b.ts');"],
  ])('reports a circle of %s, once', (_, text) => {
    write({
      ...sound,
      'packages/low/src/a.ts': text,
      'packages/low/src/b.ts': "import { c } from './c.ts';\nexport const b = (): number => c();",
      'packages/low/src/c.ts': "import { a } from './a.ts';\nexport const c = (): number => a();",
      'packages/low/src/d.ts': "export { a } from './a.ts';",
    });
    expect(checkLayers(root, table)).toEqual([
      'packages/low/src/a.ts: files that import each other: ' +
        ['a', 'b', 'c', 'a'].map((x) => `packages/low/src/${x}.ts`).join(' -> '),
    ]);
  });

  test('lets types be imported in a circle', () => {
    write({
      ...sound,
      'packages/low/src/a.ts': "import type { B } from './b.ts';\nexport type A = B[];",
      'packages/low/src/b.ts': "export type { A } from './a.ts';\nexport type B = number;",
      'packages/low/src/c.ts': "import { d } from './d.ts';\nexport const c = d;",
      'packages/low/src/d.ts': "import type { c } from './c.ts';\nexport const d: typeof c = 1;",
    });
    expect(checkLayers(root, table)).toEqual([]);
  });

  test('reports a cycle in the table', () => {
    write(sound);
    const low = { name: '@pinfold/low', browser: true, mayImport: ['@pinfold/high'] };
    const faults = checkLayers(root, { ...table, 'packages/low': low });
    expect(faults).toContain(
      'tooling/layers.json: a cycle: @pinfold/low -> @pinfold/high -> @pinfold/low',
    );
  });
});
