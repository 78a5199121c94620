import { expect, test } from 'vitest';
import { ops } from './ops.ts';
import { scenarioOps } from './scenario-ops.ts';

test('every op says what it does and how it is written', () => {
  expect(scenarioOps.map(({ name }) => name)).toEqual([...ops.keys()]);
  expect(scenarioOps.filter(({ summary }) => summary === '')).toEqual([]);
  expect(scenarioOps.filter(({ name, usage }) => !usage.startsWith(name))).toEqual([]);
});
