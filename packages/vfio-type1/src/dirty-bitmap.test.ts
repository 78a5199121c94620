import { describe, expect, test } from 'vitest';
import { bitmapOf, runsOf } from '../test/emulated.ts';
import { DirtyBitmap } from './dirty-bitmap.ts';

test.each([
  // bits asked for, bits there are
  [0, 0],
  [1, 64],
  [64, 64],
  [65, 128],
  [2 ** 31 - 1, 2 ** 31],
])('of %i bits has whole words: %i', (asked, bits) => {
  const bitmap = new DirtyBitmap(asked);
  expect([bitmap.bits, bitmap.has(0)]).toEqual([bits, false]);
});

describe('fill and clear', () => {
  test.each([
    // first, count
    [0, 0],
    [0, 1],
    [31, 1],
    [31, 2],
    [32, 32],
    [63, 1],
    [63, 2],
    [1, 62],
    [0, 64],
    [5, 180],
    [191, 1],
  ])('from %i, %i bits', (first, count) => {
    const set = new DirtyBitmap(192);
    set.fill(first, count);
    expect(runsOf(set)).toEqual(count === 0 ? [] : [[first, count]]);
    expect(set.set).toBe(count);
    const left = new DirtyBitmap(192);
    left.fill(0, 192);
    left.clear(first, count);
    const end = first + count;
    const around = [
      [0, first],
      [end, 192 - end],
    ].filter(([, length]) => length > 0);
    expect(runsOf(left)).toEqual(count === 0 ? [[0, 192]] : around);
  });

  test('end where the bitmap ends', () => {
    const bitmap = new DirtyBitmap(64);
    bitmap.fill(60, 10);
    bitmap.fill(64, 1);
    bitmap.fill(1000, 5);
    expect(runsOf(bitmap)).toEqual([[60, 4]]);
    bitmap.clear(62, 1000);
    expect(runsOf(bitmap)).toEqual([[60, 2]]);
    expect([bitmap.has(61), bitmap.has(62), bitmap.has(64)]).toEqual([true, false, false]);
  });

  test('keep the other bits of their words', () => {
    const bitmap = bitmapOf(128, [0, 31, 32, 100, 127]);
    bitmap.fill(30, 4);
    bitmap.clear(99, 2);
    expect(runsOf(bitmap)).toEqual([
      [0, 1],
      [30, 4],
      [127, 1],
    ]);
  });
});

describe('runs', () => {
  test('of a bitmap without bits are none', () => {
    expect(runsOf(new DirtyBitmap(0))).toEqual([]);
    expect(runsOf(new DirtyBitmap(256))).toEqual([]);
  });

  test('go on over words', () => {
    const bitmap = new DirtyBitmap(256);
    bitmap.fill(60, 136);
    bitmap.fill(255, 1);
    expect(runsOf(bitmap)).toEqual([
      [60, 136],
      [255, 1],
    ]);
    expect(bitmap.set).toBe(137);
  });

  test('of 8 TiB of pages take one step per word at most', () => {
    const bitmap = new DirtyBitmap(2 ** 26);
    bitmap.fill(1, 2 ** 26 - 2);
    expect(runsOf(bitmap)).toEqual([[1, 2 ** 26 - 2]]);
  });
});

describe('shiftLeft', () => {
  test.each([
    // bits, shift, count that matters, bits after in a bitmap of 192
    ['over the half of a word', [31], 1, 10, [32]],
    ['by half a word', [0, 31, 32], 32, 64, [32, 63]],
    ['into the next word', [63], 1, 70, [64]],
    ['by 63', [0, 1, 63], 63, 130, [63, 64, 126]],
    ['out of the last word that takes part', [0, 63], 1, 64, [1]],
    ['whole words, with what lies behind the count', [5, 20], 7, 13, [12, 27]],
    ['not in the words behind', [0, 64, 128], 1, 65, [1, 65, 128]],
    ['from the last bit of all', [0, 190, 191], 1, 192, [1, 191]],
  ])('%s', (_, before, shift, count, after) => {
    const bitmap = bitmapOf(192, before);
    bitmap.shiftLeft(shift, count);
    expect(runsOf(bitmap)).toEqual(runsOf(bitmapOf(192, after)));
  });
});

describe('orFirstWord', () => {
  test('takes up a whole word', () => {
    const bitmap = bitmapOf(128, [0, 70]);
    expect(bitmap.orFirstWord(bitmapOf(192, [1, 64, 95, 96, 127, 128]), 1)).toBe(true);
    expect(runsOf(bitmap)).toEqual([
      [0, 1],
      [31, 2],
      [63, 1],
      [70, 1],
    ]);
  });

  test('does nothing behind the end', () => {
    const bitmap = bitmapOf(64, [3]);
    expect(bitmap.orFirstWord(bitmapOf(64, [5]), 1)).toBe(false);
    expect(runsOf(bitmap)).toEqual([[3, 1]]);
  });
});

describe('copyTo', () => {
  test('replaces whole words', () => {
    const to = bitmapOf(256, [0, 64, 127, 128, 191, 192]);
    expect(bitmapOf(192, [2, 63, 64, 128]).copyTo(to, 1, 65)).toBe(true);
    expect(runsOf(to)).toEqual([
      [0, 1],
      [66, 1],
      [127, 2],
      [192, 1],
    ]);
  });

  test.each([
    // word, copied to the end, runs after
    [0, true, [[0, 128]]],
    [1, false, [[64, 64]]],
    [2, false, []],
    [3, false, []],
  ])('at word %i of two', (word, whole, runs) => {
    const from = new DirtyBitmap(192);
    from.fill(0, 192);
    const to = new DirtyBitmap(128);
    expect(from.copyTo(to, word, 128)).toBe(whole);
    expect(runsOf(to)).toEqual(runs);
  });
});
