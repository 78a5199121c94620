import { describe, expect, test } from 'vitest';
import { findExamples, findReadmes, findSections, renderSection } from '../examples.mjs';

const sections = findReadmes().flatMap((readme) =>
  findSections(readme).map((section) => ({ readme, ...section })),
);

describe('examples in READMEs', () => {
  test.each(sections)('$readme shows $file and what it prints', ({ readme, file, text }) => {
    const advice = `${readme} differs from ${file} or from what that prints: npm run examples:update`;
    expect(text, advice).toBe(renderSection(readme, file));
  });

  test('every example is shown in a README', () => {
    const shown = sections.map(({ file }) => file);
    expect(findExamples().filter((file) => !shown.includes(file))).toEqual([]);
  });

  test('every README of a package that is published has an example', () => {
    const withExample = sections.map(({ readme }) => readme);
    const readmes = findReadmes().filter((readme) => !/^README|recordings/.test(readme));
    expect(readmes.filter((readme) => !withExample.includes(readme))).toEqual([]);
  });
});
