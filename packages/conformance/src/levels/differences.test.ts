import { expect, it } from 'vitest';
import { diff } from './differences.ts';

it.each<[unknown, unknown, string[]]>([
  [1, 1, []],
  [{ a: [1, { b: null }] }, { a: [1, { b: null }] }, []],
  [1, '1', ['x']],
  [null, undefined, ['x']],
  [{ a: 1 }, undefined, ['x']],
  [[], {}, ['x']],
  [{ a: 1, b: 2 }, { b: 3, c: 4 }, ['x.a', 'x.b', 'x.c']],
  [[1, 2], [1, 2, 3], ['x[2]']],
  [{ a: [{ b: 1 }] }, { a: [{ b: 2 }] }, ['x.a[0].b']],
])('%j and %j differ in %j', (recorded, model, paths) => {
  expect(diff('x', recorded, model).map(({ path }) => path)).toEqual(paths);
});
