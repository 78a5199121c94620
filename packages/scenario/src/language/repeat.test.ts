import { expect, it } from 'vitest';
import { MAX_REPEATED, Repeats } from './repeat.ts';

it('has one bound for all lines of a scenario', () => {
  const repeats = new Repeats();
  const read = (count: number): number =>
    repeats.read('info', [`repeat=${count}`], 'a.scn:4').count;
  expect(read(MAX_REPEATED - 1)).toBe(MAX_REPEATED - 1);
  expect(() => read(2)).toThrow(
    'a.scn:4: repeat: expected a number of steps from 1 to 131072, which is for all lines together, 1 of them left',
  );
  expect(read(1)).toBe(1);
});
