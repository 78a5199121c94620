import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import layers from '../layers.json' with { type: 'json' };

const PAGE = 'ARCHITECTURE.md';
const page = readFileSync(PAGE, 'utf8');

/** Names and the file that declares them: "`a`, `b` and `c` ([file.ts](path/to/file.ts))". */
const MENTION = /((?:`[^`]+`(?:,| and)? )+)\(\[([^\]]+)\]\(([^)]+)\)\)/g;
const CODE = /`([^`]+)`/g;
const LINK = /\]\(([^)#\s]+)(?:#[^)]*)?\)/g;

interface Mention {
  readonly name: string;
  readonly label: string;
  readonly file: string;
}

function mentionsIn(text: string): Mention[] {
  return [...text.matchAll(MENTION)].flatMap(([, names = '', label = '', file = '']) =>
    [...names.matchAll(CODE)].map(([, name = '']) => ({ name, label, file })),
  );
}

/** The text between a heading and the next one. */
function section(heading: string): string {
  const [, rest = ''] = page.split(`\n## ${heading}\n`);
  return rest.split('\n## ')[0] ?? '';
}

/** What a file declares: functions, types, variables, and members both as `member` and `Owner.member`. */
function declaredIn(file: string): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node, owner: string): void => {
    const named = (node as ts.NamedDeclaration).name;
    const name = named && isDeclaration(node) ? named.getText().replace('#', '') : '';
    if (name) names.add(name);
    if (name && owner) names.add(`${owner}.${name}`);
    ts.forEachChild(node, (child) => {
      visit(child, name || owner);
    });
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2023, true), '');
  return names;
}

function isDeclaration(node: ts.Node): boolean {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isVariableDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isMethodSignature(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertySignature(node) ||
    ts.isPropertyAssignment(node) ||
    ts.isGetAccessor(node)
  );
}

describe('ARCHITECTURE.md', () => {
  const mentions = mentionsIn(page);

  test.each(mentions)('$file declares $name', ({ name, file }) => {
    expect(declaredIn(file)).toContain(name);
  });

  test('calls every file by its name', () => {
    expect(mentions.filter(({ label, file }) => label !== basename(file))).toEqual([]);
  });

  test('says of every step of a call where its functions are', () => {
    for (const heading of ['One VFIO_IOMMU_MAP_DMA', 'One VFIO_IOMMU_UNMAP_DMA']) {
      const steps = section(heading).match(/^\d+\. .+$/gm) ?? [];
      expect(steps.length).toBeGreaterThan(4);
      expect(steps.filter((step) => mentionsIn(step).length === 0)).toEqual([]);
    }
  });

  test('names nothing that the sources do not have', () => {
    const sources = globSync('{packages,apps}/*/src/**/*.ts');
    const declared = new Set(sources.flatMap((file) => [...declaredIn(file)]));
    // Names with a capital inside or in front; the kernel's have neither.
    const names = [...page.matchAll(CODE)]
      .map(([, code = '']) => code)
      .filter((code) => /^[A-Za-z][\w.]*$/.test(code) && /[a-z][A-Z]|^[A-Z][a-z]/.test(code))
      .filter((code) => !code.endsWith('.md') && !(code in globalThis));
    expect(names.filter((name) => !declared.has(name))).toEqual([]);
  });

  test('names files and folders that exist', () => {
    const paths = [...page.matchAll(CODE)]
      .map(([, code = '']) => code)
      .filter((code) => /^(?:packages|apps|tooling)\//.test(code))
      .map((path) => (path.includes('<') ? dirname(path) : path));
    expect(paths).not.toEqual([]);
    expect(paths.filter((path) => !existsSync(path))).toEqual([]);
  });

  test.each(Object.entries(layers))('has the layer %s as it is', (dir, layer) => {
    const { name, mayImport } = layer;
    const rows = page.split('\n').filter((line) => line.startsWith(`| [\`${name}\`](${dir}) `));
    expect(rows).toHaveLength(1);
    const [, , owns, doesNotOwn, dependsOn = ''] = rows[0].split('|').map((cell) => cell.trim());
    expect(owns).not.toBe('');
    expect(doesNotOwn).not.toBe('');
    const manifest = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
    };
    const inside = 'bundled' in layer ? manifest.devDependencies : {};
    const actual = Object.keys({ ...manifest.dependencies, ...inside }).filter((dependency) =>
      mayImport.some((other) => other === dependency),
    );
    const stated = dependsOn === 'nothing' ? [] : dependsOn.split(', ');
    expect(stated.sort()).toEqual(actual.map((other) => other.replace('@pinfold/', '')).sort());
  });
});

describe('links', () => {
  test.each(globSync('{*.md,{packages,apps}/*/README.md}').sort())(
    'of %s lead to files',
    (file) => {
      const targets = [...readFileSync(file, 'utf8').matchAll(LINK)].map(
        ([, target = '']) => target,
      );
      const local = targets.filter((target) => !/^[a-z]+:/.test(target));
      expect(local.filter((target) => !existsSync(join(dirname(file), target)))).toEqual([]);
    },
  );
});
