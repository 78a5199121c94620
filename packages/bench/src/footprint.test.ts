import { describe, expect, it } from 'vitest';
import { backing } from './backings.ts';
import { checkFits, footprint } from './footprint.ts';
import { layoutOf, type LayoutName } from './layouts.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;

function estimate(bytes: number, name: string, layout: LayoutName = 'contiguous'): number {
  return footprint(bytes, backing(name), layoutOf(backing(name), layout));
}

function check(bytes: number, name: string, mappings: number, available: number): void {
  const memory = backing(name);
  checkFits(bytes, memory, layoutOf(memory, 'contiguous'), mappings, available, '--size');
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
  it('accepts what fits', () => {
    expect(() => check(16 * TIB, 'hugetlb-1g', 2, GIB)).not.toThrow();
    expect(() => check(16 * GIB, '4k', 2, GIB)).not.toThrow();
  });

  it('says how much memory would be needed', () => {
    expect(() => check(16 * TIB, '4k', 2, 8 * GIB)).toThrow(
      /^--size: expected what fits into 8 GiB of available memory, got 16T of 4k, for which the model needs 1\d\d GiB$/,
    );
  });

  it('counts every mapping that exists at the same time', () => {
    const one = estimate(GIB, '4k');
    expect(() => check(GIB, '4k', 1, one)).not.toThrow();
    expect(() => check(GIB, '4k', 2, one)).toThrow('--size: expected what fits');
  });

  it('refuses more than a machine, or a page table of the model, can hold', () => {
    expect(() => check(65 * TIB, 'thp', 1, Infinity)).toThrow(
      '--size: expected at most 64T of thp, got 65T of thp',
    );
    expect(() => check(5 * TIB, '4k', 1, Infinity)).toThrow(
      '--size: expected at most 4T of 4k, got 5T of 4k',
    );
  });
});
