import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import layers from '../layers.json' with { type: 'json' };

/** The packages that a changeset names. */
function namedIn(file: string): string[] {
  const [, head = ''] = readFileSync(file, 'utf8').split(/^---$/m);
  return [...head.matchAll(/^'([^']+)': (?:patch|minor|major)$/gm)].map(([, name = '']) => name);
}

const pending = globSync('.changeset/*.md');
const named = new Set(pending.flatMap(namedIn));

test.each(pending)('%s names packages that are published', (file) => {
  const names = Object.values(layers).map(({ name }) => name);
  expect(namedIn(file)).not.toEqual([]);
  expect(namedIn(file).filter((name) => !names.includes(name))).toEqual([]);
});

// What is inside a bundle is no dependency, so that changesets does not see that the bundle changes.
test.each(Object.values(layers).filter((layer) => 'bundled' in layer))(
  '$name is released when something inside it changes',
  ({ name, mayImport }) => {
    const inside = mayImport.filter((each) => named.has(each));
    expect(inside.length === 0 || named.has(name), `no changeset names ${name}`).toBe(true);
  },
);
