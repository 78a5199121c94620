import { describe, expect, test } from 'vitest';
import { VM, Vma, VmaTree } from './vma.ts';

function treeOf(...ranges: readonly (readonly [number, number])[]): VmaTree {
  const tree = new VmaTree();
  for (const [start, end] of ranges) tree.insert(new Vma(start, end, VM.READ));
  return tree;
}

function ranges(tree: VmaTree): number[][] {
  return [...tree].map(({ start, end }) => [start, end]);
}

test('VMAs are kept in address order', () => {
  expect(ranges(treeOf([50, 60], [0, 10], [20, 30]))).toEqual([
    [0, 10],
    [20, 30],
    [50, 60],
  ]);
});

describe('lookup', () => {
  const tree = treeOf([10, 20], [20, 25], [30, 2 ** 36]);

  test.each([
    [9, null],
    [10, 10],
    [19, 10],
    [20, 20],
    [24, 20],
    [25, null],
    [29, null],
    [30, 30],
    [2 ** 36 - 1, 30],
    [2 ** 36, null],
  ])('page %i lies in the VMA that starts at %o', (vpn, start) => {
    expect(tree.lookup(vpn)?.start ?? null).toBe(start);
  });

  test('finds nothing in an empty address space', () => {
    expect(treeOf().lookup(0)).toBeNull();
  });
});

describe('insert', () => {
  test.each([
    ['the same range', 10, 20],
    ['one page at the start', 10, 11],
    ['one page at the end', 19, 20],
    ['a larger range around', 5, 25],
    ['a range over the start', 5, 11],
    ['a range over the end', 19, 30],
  ])('refuses %s, and changes nothing', (_, start, end) => {
    const tree = treeOf([10, 20]);
    expect(tree.insert(new Vma(start, end, 0))).toBe(false);
    expect(ranges(tree)).toEqual([[10, 20]]);
  });

  test('takes ranges that touch', () => {
    const tree = treeOf([10, 20]);
    expect(tree.insert(new Vma(20, 21, 0))).toBe(true);
    expect(tree.insert(new Vma(9, 10, 0))).toBe(true);
    expect(ranges(tree)).toEqual([
      [9, 10],
      [10, 20],
      [20, 21],
    ]);
  });
});
