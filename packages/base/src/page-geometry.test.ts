import { describe, expect, test } from 'vitest';
import { InputError } from './errors.ts';
import {
  ARM64_16K,
  ARM64_4K,
  ARM64_64K,
  orderName,
  orderOfName,
  pageGeometry,
  X86_64,
  type PageGeometry,
} from './page-geometry.ts';

describe('geometries', () => {
  test.each([
    [X86_64, 4, ['2M', '1G'], ['1G', '2M'], '128M'],
    [ARM64_4K, 4, ['64K', '2M', '32M', '1G'], ['1G', '2M'], '128M'],
    [ARM64_16K, 4, ['2M', '32M', '1G'], ['32M'], '128M'],
    [ARM64_64K, 3, ['2M', '512M', '16G'], ['512M'], '512M'],
  ] as const)('$name', (geometry: PageGeometry, levels, hugetlb, leaves, section) => {
    const names = (orders: readonly number[]): string[] =>
      orders.map((order) => orderName(order, geometry.pageShift));
    expect(geometry.levels).toBe(levels);
    expect(names(geometry.hugetlbOrders)).toEqual(hugetlb);
    expect(names(geometry.hugeOrders)).toEqual(leaves);
    expect(names([geometry.sectionOrder])).toEqual([section]);
    expect(geometry.taskPages).toBeLessThanOrEqual(geometry.virtualPages);
  });

  test('two to five levels, and sections of at least a PMD leaf', () => {
    expect(() => pageGeometry({ ...X86_64, addressBits: 21 })).toThrow(InputError);
    expect(() => pageGeometry({ ...X86_64, addressBits: 64 })).toThrow(InputError);
    expect(() => pageGeometry({ ...X86_64, sectionShift: 20 })).toThrow(InputError);
    expect(pageGeometry({ ...X86_64, addressBits: 57 }).levels).toBe(5);
  });
});

describe('names of orders', () => {
  test.each([
    [0, 12, '4K'],
    [0, 16, '64K'],
    [4, 12, '64K'],
    [9, 12, '2M'],
    [11, 14, '32M'],
    [13, 16, '512M'],
    [18, 12, '1G'],
    [27, 12, '512G'],
    [51, 12, '8192P'],
  ])('order %i of pages of 2^%i bytes is %s', (order, pageShift, name) => {
    expect(orderName(order, pageShift)).toBe(name);
    expect(orderOfName(name, pageShift, 'a leaf')).toBe(order);
  });

  test.each(['3K', '2K', '4k', '', '4', '1.5M', '12345K'])('%j is the size of no leaf', (name) => {
    expect(() => orderOfName(name, 12, 'run 3')).toThrow(
      `run 3: expected a power of two from 4K on, such as 64K or 2M, got '${name}'`,
    );
  });
});
