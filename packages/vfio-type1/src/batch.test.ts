import { expect, test } from 'vitest';
import { Guest } from '../test/guest.ts';
import { nextPage, VfioBatch } from './batch.ts';

test('a batch begins empty, with room for as many pages as its array', () => {
  const { memmap } = new Guest().memory;
  expect(new VfioBatch(memmap.pageArray(512))).toMatchObject({
    capacity: 512,
    size: 0,
    offset: 0,
    pfn: 0,
  });
  expect(new VfioBatch(memmap.pageArray(1)).capacity).toBe(1);
});

test('the next entry is the one at the offset', () => {
  const batch = new VfioBatch(Float64Array.of(7, 8, 9));
  batch.size = 2;
  batch.offset = 1;
  expect(nextPage(batch)).toBe(8);
});
