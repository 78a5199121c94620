import { describe, expect, test } from 'vitest';
import type { ResvRegion } from '@pinfold/iommu';
import {
  clipToAperture,
  excludeReserved,
  expandAperture,
  iovaDmaValid,
  refreshReserved,
} from './iova-list.ts';

function ranges(
  ...pairs: readonly (readonly [number, number])[]
): { start: number; last: number }[] {
  return pairs.map(([start, last]) => ({ start, last }));
}

describe('clipping to an aperture', () => {
  test.each([
    ['no restriction yet', ranges(), ranges([0, 99])],
    ['ranges inside', ranges([5, 10], [20, 30]), ranges([5, 10], [20, 30])],
    ['ranges that reach over the end', ranges([0, 200]), ranges([0, 99])],
    ['ranges outside', ranges([0, 50], [100, 200]), ranges([0, 50])],
    ['a range up to the last page', ranges([99, 100]), ranges([99, 99])],
  ])('%s', (_, list, clipped) => {
    expect(clipToAperture(list, { start: 0, last: 99 })).toEqual(clipped);
  });
});

describe('cutting out reserved regions', () => {
  const region = (
    start: number,
    last: number,
    type: ResvRegion['type'] = 'reserved',
  ): ResvRegion => ({ type, start, last });

  test.each([
    ['in the middle', [region(10, 19)], ranges([0, 9], [20, 99])],
    ['at the start', [region(0, 9)], ranges([10, 99])],
    ['at the end', [region(90, 99)], ranges([0, 89])],
    ['one page', [region(50, 50)], ranges([0, 49], [51, 99])],
    ['everything', [region(0, 1000)], []],
    ['outside', [region(100, 200)], ranges([0, 99])],
    [
      'several, overlapping, in any order',
      [region(50, 60), region(10, 19), region(55, 70)],
      ranges([0, 9], [20, 49], [71, 99]),
    ],
    ['a relaxable one: left in', [region(10, 19, 'direct-relaxable')], ranges([0, 99])],
    [
      'the other kinds: cut out',
      [region(1, 1, 'direct'), region(3, 3, 'msi'), region(5, 5, 'sw-msi')],
      ranges([0, 0], [2, 2], [4, 4], [6, 99]),
    ],
  ])('%s', (_, regions, left) => {
    expect(excludeReserved(ranges([0, 99]), regions)).toEqual(left);
  });
});

describe('widening to the apertures that are left', () => {
  test.each([
    ['one domain', ranges([5, 10], [20, 30]), ranges([0, 99]), ranges([0, 10], [20, 99])],
    ['the tightest of two', ranges([5, 30]), ranges([2, 99], [3, 50]), ranges([3, 50])],
    ['no domain', ranges([5, 10], [20, 30]), [], ranges([0, 10], [20, 2 ** 52 - 1])],
    ['no restriction', [], ranges([0, 99]), []],
  ])('%s', (_, list, apertures, widened) => {
    expect(expandAperture(list, apertures, 12)).toEqual(widened);
  });
});

describe('cutting the list anew', () => {
  test.each([
    ['nothing reserved', ranges([5, 10], [20, 30]), ranges(), ranges([5, 30])],
    ['one region', ranges([5, 10], [20, 30]), ranges([12, 15]), ranges([5, 11], [16, 30])],
    ['a region beyond the ends', ranges([5, 30]), ranges([0, 4], [31, 99]), ranges([5, 30])],
    ['everything', ranges([5, 30]), ranges([0, 99]), null],
    ['no restriction', [], ranges([0, 99]), []],
  ])('%s', (_, list, regions, left) => {
    const reserved = regions.map((region) => ({ type: 'reserved', ...region }) as const);
    expect(refreshReserved(list, reserved)).toEqual(left);
  });
});

describe('a mapping lies inside one usable range', () => {
  test.each([
    [0, 9, true],
    [3, 3, true],
    [0, 10, false],
    [9, 10, false], // two ranges that touch are still two
    [10, 19, true],
    [19, 20, false],
    [25, 26, false],
    [30, 2 ** 45, true],
  ])('pages %d to %d: %o', (start, last, valid) => {
    expect(iovaDmaValid(ranges([0, 9], [10, 19], [30, 2 ** 45]), start, last)).toBe(valid);
  });

  test('or anywhere, if there is no restriction', () => {
    expect(iovaDmaValid([], 0, 2 ** 52 - 1)).toBe(true);
  });
});
