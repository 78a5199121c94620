import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDocs } from '../check-docs.mjs';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pinfold-docs-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

/** What is missing in a package with an index that exports the given code. */
function check(code: string, needsSource = false): string[] {
  const index = join(root, 'index.ts');
  writeFileSync(index, code);
  return checkDocs(root, [index], () => needsSource);
}

const DOCUMENTED = `
/**
 * Pins pages.
 * @param npage pages, 1 or more
 * @returns pages pinned
 */
export function pin(npage: number): number { return npage; }`;

describe('check-docs', () => {
  test.each([
    ['a constant', 'export const A = 1;', 'index.ts:1 A: no summary'],
    ['a type', 'export type A = number;', 'index.ts:1 A: no summary'],
    [
      'a property',
      '/** A. */\nexport interface A {\n  b: number;\n}',
      'index.ts:3 A.b: no summary',
    ],
    [
      'a property in a type',
      '/** A. */\nexport type A = {\n  b: number;\n};',
      'index.ts:3 A.b: no summary',
    ],
    [
      'a parameter',
      '/** A. */\nexport function a(b: number): void { b; }',
      'index.ts:2 a: no @param b',
    ],
    [
      'a parameter of an arrow',
      '/** A. */\nexport const a = (b: number): void => { b; };',
      'index.ts:2 a: no @param b',
    ],
    [
      'a parameter of a constructor',
      '/** A. */\nexport class A {\n  constructor(b: number) { b; }\n}',
      'index.ts:3 new A: no @param b',
    ],
    [
      'a parameter of a method',
      '/** A. */\nexport class A {\n  /** B. */\n  b(c: number): void { c; }\n}',
      'index.ts:4 A.b: no @param c',
    ],
    [
      'what is returned',
      '/** A. */\nexport function a(): number { return 1; }',
      'index.ts:2 a: no @returns',
    ],
    ['a method', '/** A. */\nexport class A {\n  b(): void {}\n}', 'index.ts:3 A.b: no summary'],
  ])('reports %s without documentation', (_, code, message) => {
    expect(check(code)).toEqual([message]);
  });

  test('is content with documented code, private members and inherited documentation', () => {
    const code = `${DOCUMENTED}
/** A. */
export interface A {
  /** Unpins pages. */
  unpin(): void;
}
/** B. */
export class B implements A {
  #count = 0;
  unpin(): void { this.#count--; }
}`;
    expect(check(code)).toEqual([]);
  });

  test('asks for @source where kernel code is modelled', () => {
    expect(check(DOCUMENTED, true)).toEqual([
      'index.ts:7 pin: no @source, nor one in the header of its module',
    ]);
    expect(check(`/** GUP.\n * @source mm/gup.c */\n${DOCUMENTED}`, true)).toEqual([]);
    expect(check(DOCUMENTED.replace(' */', ' * @source mm/gup.c\n */'), true)).toEqual([]);
  });
});
