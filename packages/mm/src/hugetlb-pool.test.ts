import { describe, expect, test } from 'vitest';
import { bootFaulting } from '../test/faulting.ts';
import { HugetlbPool } from './hugetlb-pool.ts';

describe('a pool of huge pages', () => {
  test('has all its pages free and none reserved', () => {
    expect(new HugetlbPool(9, 5)).toMatchObject({ order: 9, freeHugePages: 5, resvHugePages: 0 });
  });

  test('reserves as many pages as are free and not reserved', () => {
    const pool = new HugetlbPool(9, 5);
    expect([pool.reserve(3), pool.reserve(3), pool.reserve(2), pool.reserve(1)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(pool).toMatchObject({ freeHugePages: 5, resvHugePages: 5 });
  });

  test('gives pages until none is free', () => {
    const pool = new HugetlbPool(9, 2);
    expect([pool.take(), pool.take(), pool.take()]).toEqual([true, true, false]);
    pool.free();
    expect(pool.freeHugePages).toBe(1);
    expect(pool.take()).toBe(true);
  });
});

test('a machine has a pool per page size, or none', () => {
  const { memory } = bootFaulting({ hugePages: 3, gigaPages: 1 });
  expect(memory.hugetlbPool(9)).toMatchObject({ order: 9, freeHugePages: 3 });
  expect(memory.hugetlbPool(18)).toMatchObject({ order: 18, freeHugePages: 1 });
  expect(bootFaulting().memory.hugetlbPool(9)).toBeNull();
});
