import { X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { thpDefaults, thpOrders, type ThpEnabled, type ThpSettings } from './thp.ts';
import { VM, Vma } from './vma.ts';

const plain = new Vma(0, 1, VM.READ);
const advised = new Vma(0, 1, VM.READ | VM.HUGEPAGE);
const refused = new Vma(0, 1, VM.READ | VM.NOHUGEPAGE);

function settings(enabled: ThpEnabled, orders: ThpSettings['orders']): ThpSettings {
  return { ...thpDefaults(X86_64), enabled, orders };
}

test('by default 2 MiB are had everywhere, and the huge zero page is used', () => {
  expect(thpDefaults(X86_64)).toEqual({
    enabled: 'always',
    orders: { 9: 'inherit' },
    shmem: 'never',
    useZeroPage: true,
  });
});

describe.each([
  ['always', [9], [9]],
  ['madvise', [], [9]],
  ['never', [], []],
] as const)('%s', (enabled, unadvised, withAdvice) => {
  test.each([
    ['for all sizes', settings(enabled, { 9: 'inherit' })],
    ['for one size, whatever is said for all', settings('never', { 9: enabled })],
  ])('%s: those who did not ask, those who did, those who refused', (_, thp) => {
    const orders = [plain, advised, refused].map((vma) => thpOrders(thp, vma));
    expect(orders).toEqual([unadvised, withAdvice, []]);
  });
});

test('several sizes come largest first', () => {
  const thp = settings('madvise', { 2: 'always', 9: 'inherit', 4: 'madvise', 3: 'never' });
  expect(thpOrders(thp, plain)).toEqual([2]);
  expect(thpOrders(thp, advised)).toEqual([9, 4, 2]);
});

test('a size that is not listed is never had', () => {
  expect(thpOrders(settings('always', {}), advised)).toEqual([]);
});
