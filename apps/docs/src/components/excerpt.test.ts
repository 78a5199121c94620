import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { excerpt } from './excerpt.ts';

const TEXT =
  'Table of 4k\n\nname     count\nbatched     17\nseries-1    18\n\nbatched  what it is\n';

describe('an excerpt', () => {
  test('goes from a line to the line before another', () => {
    expect(
      excerpt(TEXT, {
        has: [/^batched +17$/m, /^series-1 +\d+$/m],
        from: /^name/,
        to: /^batched {2}what/,
      }),
    ).toBe('name     count\nbatched     17\nseries-1    18');
  });

  test('is all there is by default', () => {
    expect(excerpt(TEXT, { has: ['Table', 'what it is'] })).toBe(TEXT.trimEnd());
  });

  test('lacks a row: the pattern that ends it has matched too early', () => {
    expect(() =>
      excerpt(TEXT, { has: ['Table of 4k name', /^series-1 +\d+$/m], to: /^batched / }),
    ).toThrow('missing: /^series-1 +\\d+$/m, in\n  | Table of 4k');
  });

  test('begins or ends nowhere', () => {
    expect(() => excerpt(TEXT, { has: ['Table'], from: /^Change/ })).toThrow(
      'no line to begin with matches /^Change/, in\n  | Table of 4k',
    );
    expect(() => excerpt(TEXT, { has: ['name'], from: /^name/, to: /^name/ })).toThrow(
      'no line to end before matches /^name/, in\n  | name ',
    );
  });

  test('names nothing that must be in it', () => {
    expect(() => excerpt(TEXT, { has: [] })).toThrow('has to name what must be in it');
  });
});

test('every page names what must be in what it shows of a command', () => {
  const content = join(import.meta.dirname, '../content/docs');
  const commands = globSync('**/*.mdx', { cwd: content }).flatMap((file) =>
    [...readFileSync(join(content, file), 'utf8').matchAll(/<Command\s[^]*?\/>/g)].map(
      ([text]) => `${file}: ${text}`,
    ),
  );
  expect(commands.length).toBeGreaterThan(10);
  expect(commands.filter((text) => !text.includes('has={['))).toEqual([]);
});
