/** The README's table of pin algorithms is the registry's. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pinAlgorithms } from '../src/index.ts';

test('the table of pin algorithms lists all of them, with what they are', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, section = ''] = readme.split('\n## Pin algorithms\n');
  const [table = ''] = section.split('\n## ');
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  // The table is in the order of time, the registry in that of names.
  const shown = rows.map(([, name = '', summary, source]) => ({ name, summary, source }));
  expect(shown.sort(byName)).toEqual(
    pinAlgorithms
      .map(({ name, summary, source, defects }) => ({
        name: `\`${name}\`${defects.length > 0 ? ' (!)' : ''}`,
        summary,
        source,
      }))
      .sort(byName),
  );
});

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : 1;
}
