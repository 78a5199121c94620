import { expect, test } from 'vitest';
import { seriesNumber } from '../series.ts';
import { factIn, initially, since, tableIn, type History } from './fact.ts';
import { formatHistory, iommuHistory } from './iommu.ts';
import { mmHistory } from './mm.ts';
import { type1History } from './type1.ts';

const COLOUR: History<string> = [
  initially('red', 'it is red', 'a'),
  since('5.12', 'green', 'it is green', 'b'),
  since('6.2', 'blue', 'it is blue', 'c'),
];

test.each([
  ['4.19', 'red'],
  ['5.2', 'red'],
  ['5.11', 'red'],
  ['5.12', 'green'],
  ['6.1', 'green'],
  ['6.2', 'blue'],
  ['6.12', 'blue'],
])('of %s is what held last: %s', (series, expected) => {
  expect(factIn(COLOUR, series).value).toBe(expected);
});

test('a table has one value of each rule, and its sources once', () => {
  const shape: History<string> = [initially('round', 'it is round', 'b')];
  const table = tableIn<{ colour: string; shape: string; source: string }>(
    { colour: COLOUR, shape },
    '5.15',
  );
  expect(table).toEqual({ colour: 'green', shape: 'round', source: 'b' });
});

const histories = Object.entries<History<unknown>>({
  ...mmHistory,
  ...iommuHistory,
  ...type1History,
  ...formatHistory,
});

test.each(histories)('the history of %s is in order, and each value has its source', (_, facts) => {
  expect(facts[0].since).toBeNull();
  const numbers = facts.slice(1).map(({ since: series }) => seriesNumber(series ?? ''));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  for (const [i, { value, what, source }] of facts.entries()) {
    expect(value).not.toEqual(facts[i - 1]?.value);
    expect(what).toMatch(/^\w.*[^.]$/);
    expect(source).toMatch(/\S/);
  }
});
