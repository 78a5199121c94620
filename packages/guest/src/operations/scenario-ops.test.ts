import { expect, test } from 'vitest';
import { ops } from './index.ts';
import { scenarioOps } from './index.ts';

test('every op says what it does and how it is written', () => {
  expect(scenarioOps.map(({ name }) => name)).toEqual([...ops.keys()]);
  expect(scenarioOps.filter(({ summary }) => summary === '')).toEqual([]);
  expect(scenarioOps.filter(({ name, usage }) => !usage.startsWith(name))).toEqual([]);
});
