import { describe, expect, it } from 'vitest';
import { backing } from './backings.ts';
import { checkFits, checkLargest, footprint } from './footprint.ts';
import { layoutOf, type LayoutName } from './layouts.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;

function estimate(bytes: number, name: string, layout: LayoutName = 'contiguous'): number {
  return footprint(bytes, backing(name), layoutOf(backing(name), layout));
}

describe('footprint', () => {
  it('is small for huge pages, whatever the size of the mapping', () => {
    expect(estimate(TIB, 'thp')).toBeLessThan(400 * MIB);
    expect(estimate(16 * TIB, 'thp')).toBeLessThan(2 * GIB);
    expect(estimate(16 * TIB, 'hugetlb-1g')).toBeLessThan(2 * MIB);
  });

  it('is 19 bytes and more for a page of 4 KiB, and most for scattered ones', () => {
    const pages = (64 * GIB) / 4096;
    expect(estimate(64 * GIB, '4k') / pages).toBeGreaterThan(19);
    expect(estimate(64 * GIB, '4k')).toBeLessThan(GIB);
    expect(estimate(64 * GIB, '4k', 'scattered')).toBeGreaterThan(estimate(64 * GIB, '4k'));
  });
});

describe('checkFits', () => {
  it('says how much memory would be needed', () => {
    expect(() => checkFits(3.5 * GIB, 3.5 * GIB, '1G of 4k', '--size')).not.toThrow();
    expect(() => checkFits(150 * GIB, 3.5 * GIB, '16T of 4k', '--size')).toThrow(
      '--size: expected what fits into 3.5 GiB of available memory, got 16T of 4k, for which the model needs 150 GiB',
    );
  });
});

describe('checkLargest', () => {
  it('refuses more than a machine, or a page table of the model, can hold', () => {
    expect(() => checkLargest(64 * TIB, backing('thp'), '--size')).not.toThrow();
    expect(() => checkLargest(65 * TIB, backing('thp'), '--size')).toThrow(
      '--size: expected at most 64T of thp, got 65T of thp',
    );
    expect(() => checkLargest(4 * TIB, backing('4k'), '--size')).not.toThrow();
    expect(() => checkLargest(5 * TIB, backing('4k'), '--size')).toThrow(
      '--size: expected at most 4T of 4k, got 5T of 4k',
    );
  });
});
