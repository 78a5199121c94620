import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { backing, backings, backingsFor, checkWholePages } from './backings.ts';

describe('backing', () => {
  it('finds every backing by its name', () => {
    for (const known of backings) expect(backing(known.name)).toBe(known);
  });

  it('names the known ones when it finds none', () => {
    expect(() => backing('shmem', '--backing')).toThrow(
      new InputError('--backing', 'one of thp, 4k, hugetlb-2m, hugetlb-1g', "'shmem'"),
    );
  });
});

describe('backingsFor', () => {
  it.each([
    [2 ** 30, 'thp,4k,hugetlb-2m,hugetlb-1g'],
    [512 * 2 ** 20, 'thp,4k,hugetlb-2m'],
    [3 * 2 ** 20, '4k'],
    // None suits: the one that asks for least says so.
    [6000, '4k'],
    [0, '4k'],
  ])('%d bytes: %s', (bytes, names) => {
    const found = backingsFor(bytes).map(({ name }) => name);
    expect(found.join()).toBe(names);
  });

  it('keeps what was asked for in another way', () => {
    const found = backingsFor(2 ** 29, ({ name }) => name === 'hugetlb-1g');
    expect(found).toEqual(backings);
  });
});

describe('checkWholePages', () => {
  it.each([
    ['4k', 4096],
    ['thp', 2 ** 21],
    ['hugetlb-2m', 3 * 2 ** 21],
    ['hugetlb-1g', 2 ** 40],
  ])('accepts whole pages of %s', (name, bytes) => {
    expect(() => checkWholePages(bytes, backing(name), 'size')).not.toThrow();
  });

  it.each([
    ['4k', 0, 'size: expected more than 0, got 0'],
    [
      '4k',
      4097,
      'size: expected a multiple of 4K, the page size of 4k, such as 4K or 8K, got 4097',
    ],
    ['thp', 2 ** 20, 'size: expected a multiple of 2M, the page size of thp, such as 2M, got 1M'],
    [
      'hugetlb-1g',
      2 ** 26,
      'size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G, got 64M',
    ],
    [
      'hugetlb-1g',
      1536 * 2 ** 20,
      'size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G or 2G, got 1536M',
    ],
  ])('refuses what is no whole page of %s: %d', (name, bytes, message) => {
    expect(() => checkWholePages(bytes, backing(name), 'size')).toThrow(message);
  });
});
