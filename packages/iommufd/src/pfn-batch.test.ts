import { expect, test } from 'vitest';
import { BATCH_KIND, MAX_BATCH_RANGES, PfnBatch } from './pfn-batch.ts';

test('64 KiB hold 5,461 ranges; a smaller slice needs fewer', () => {
  expect(new PfnBatch(2 ** 30).arraySize).toBe(5461);
  expect(MAX_BATCH_RANGES).toBe(5461);
  expect(new PfnBatch(17).arraySize).toBe(17);
});

test('frames that continue the last range join it, also when no range is left', () => {
  const batch = new PfnBatch(2);
  expect([batch.addNum(10, 2), batch.addNum(20, 1), batch.addNum(30, 1)]).toEqual([
    true,
    true,
    false,
  ]);
  expect(batch.addNum(21, 5)).toBe(true);
  expect([batch.end, batch.totalPfns, batch.npfns[1]]).toEqual([2, 8, 6]);
});

test('device memory and memory do not mix', () => {
  const batch = new PfnBatch(4);
  expect(batch.addNum(10, 1)).toBe(true);
  expect(batch.addNum(11, 1, BATCH_KIND.MMIO)).toBe(false);
});

// Reference iommufd.md §14: 424 pages of a huge page are carried, 10 of them skipped.
test('what is carried is the end of the last range, less what is skipped', () => {
  const batch = new PfnBatch(4);
  batch.addNum(0, 512);
  batch.addNum(1024, 512);
  batch.clearCarry(424);
  expect([batch.end, batch.totalPfns, batch.pfns[0]]).toEqual([1, 424, 1024 + 88]);
  batch.skipCarry(10);
  expect([batch.totalPfns, batch.pfns[0], batch.npfns[0]]).toEqual([414, 1024 + 98, 414]);
  batch.skipCarry(1000);
  expect([batch.totalPfns, batch.npfns[0]]).toEqual([0, 0]);
});
