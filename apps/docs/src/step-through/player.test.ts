import { expect, test } from 'vitest';
import { paceOf } from './player.ts';

test.each([
  // steps a second, steps in all, calm: steps at once, milliseconds
  [1, 100, false, 1, 1000],
  [4, 100, false, 1, 250],
  [60, 100, false, 2, 1000 / 30],
  [60, 100, true, 30, 500],
  [0, 60_000, false, 100, 1000 / 30],
  [0, 60_000, true, 1500, 500],
  [0, 10, false, 1, 1000],
])('%i a second of %i, calm %s', (perSecond, steps, isCalm, stride, every) => {
  expect(paceOf(perSecond, steps, isCalm)).toEqual({ stride, every });
});
