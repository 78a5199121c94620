import { describe, expect, test } from 'vitest';
import { NARROW_END, pageNumbers } from './page-numbers.ts';

test('a narrow array holds page numbers below 8 TiB', () => {
  expect(NARROW_END * 4096).toBe(8 * 2 ** 40);
});

describe('an array for page numbers', () => {
  // The bound is the first number that need not fit.
  test.each([0, 1, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32, 2 ** 36, 2 ** 52])(
    'below %d holds all of them exactly',
    (end) => {
      const array = pageNumbers(4, end);
      const numbers = [0, 1, Math.floor(end / 3), end - 1].filter(
        (number) => number >= 0 && number < end,
      );
      for (const [i, number] of numbers.entries()) array[i] = number;
      expect([...array.subarray(0, numbers.length)]).toEqual(numbers);
    },
  );

  test('has the length asked for, and zeros', () => {
    expect([...pageNumbers(3, 2 ** 31)]).toEqual([0, 0, 0]);
    expect([...pageNumbers(3, 2 ** 31 + 1)]).toEqual([0, 0, 0]);
  });

  test('takes half the room where the numbers allow it', () => {
    expect(pageNumbers(1, 2 ** 31).BYTES_PER_ELEMENT).toBe(4);
    expect(pageNumbers(1, 2 ** 31 + 1).BYTES_PER_ELEMENT).toBe(8);
  });
});
