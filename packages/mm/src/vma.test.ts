import { describe, expect, test } from 'vitest';
import { anonymousMemory } from './anon.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { MappedFile } from './page-cache.ts';
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

describe('overlapping', () => {
  const tree = treeOf([10, 20], [20, 25], [30, 40]);

  test.each([
    [0, 10, []],
    [0, 11, [10]],
    [19, 20, [10]],
    [19, 21, [10, 20]],
    [25, 30, []],
    [24, 31, [20, 30]],
    [0, 100, [10, 20, 30]],
    [40, 50, []],
    [15, 15, [10]],
  ])('pages %i to %i meet the areas that start at %o', (start, end, starts) => {
    expect(tree.overlapping(start, end).map((vma) => vma.start)).toEqual(starts);
  });
});

describe('a part of an area', () => {
  const whole = new Vma(10, 20, VM.READ, anonymousMemory, 100);

  test('begins as much later in the file', () => {
    expect(whole.part(13, 17)).toEqual(new Vma(13, 17, VM.READ, anonymousMemory, 103));
  });

  test('may have flags of its own', () => {
    expect(whole.part(10, 11, VM.WRITE)).toEqual(new Vma(10, 11, VM.WRITE, anonymousMemory, 100));
  });
});

describe('replace', () => {
  function replaced(start: number, end: number, change: (part: Vma) => Vma | null): number[][] {
    const tree = treeOf([10, 20], [30, 40]);
    tree.replace(start, end, change);
    return [...tree].map((vma) => [vma.start, vma.end, vma.flags]);
  }
  const toWrite = (part: Vma): Vma => part.part(part.start, part.end, VM.WRITE);
  const remove = (): null => null;

  test.each([
    ['inside', 12, 15, [10, 12, 1], [12, 15, 2], [15, 20, 1], [30, 40, 1]],
    ['a whole area', 10, 20, [10, 20, 2], [30, 40, 1]],
    ['around an area', 5, 25, [10, 20, 2], [30, 40, 1]],
    ['over two areas', 15, 35, [10, 15, 1], [15, 20, 2], [30, 35, 2], [35, 40, 1]],
    ['between areas', 20, 30, [10, 20, 1], [30, 40, 1]],
  ] as const)(
    'changes what lies in the range, and keeps the rest: %s',
    (_, start, end, ...areas) => {
      expect(replaced(start, end, toWrite)).toEqual(areas);
    },
  );

  test('does not cut an area whose flags stay', () => {
    const same = (part: Vma): Vma => part.part(part.start, part.end);
    expect(replaced(15, 35, same)).toEqual([
      [10, 20, 1],
      [30, 40, 1],
    ]);
  });

  test.each([
    ['inside', 12, 15, [10, 12, 1], [15, 20, 1], [30, 40, 1]],
    ['over two areas', 15, 35, [10, 15, 1], [35, 40, 1]],
    ['everything', 0, 100],
  ] as const)('removes what lies in the range: %s', (_, start, end, ...areas) => {
    expect(replaced(start, end, remove)).toEqual(areas);
  });
});

describe('merging', () => {
  const file = new MappedFile('shmem', 100);
  const other = new MappedFile('shmem', 100);

  /** The ranges after merging around the border of two areas. */
  function merged(first: Vma, second: Vma): number[][] {
    const tree = new VmaTree();
    tree.insert(first);
    tree.insert(second);
    tree.mergeAround(second.start, second.end);
    return ranges(tree);
  }

  test.each<[string, Vma, Vma]>([
    [
      'anonymous memory, wherever it was before',
      new Vma(0, 10, VM.READ, anonymousMemory, 7),
      new Vma(10, 20, VM.READ, anonymousMemory, 0),
    ],
    ['following pages of a file', new Vma(0, 10, 1, file, 5), new Vma(10, 20, 1, file, 15)],
  ])('joins %s', (_, first, second) => {
    expect(merged(first, second)).toEqual([[0, 20]]);
  });

  test.each<[string, Vma, Vma]>([
    ['a hole between', new Vma(0, 9, 1, anonymousMemory), new Vma(10, 20, 1, anonymousMemory)],
    ['other flags', new Vma(0, 10, 1, anonymousMemory), new Vma(10, 20, 3, anonymousMemory)],
    ['other pages of the file', new Vma(0, 10, 1, file, 5), new Vma(10, 20, 1, file, 16)],
    ['another file', new Vma(0, 10, 1, file, 5), new Vma(10, 20, 1, other, 15)],
    ['memory that nobody answers for', new Vma(0, 10, 1), new Vma(10, 20, 1, null, 10)],
    ['a pfn mapping', new Vma(0, 10, VM.PFNMAP, file, 0), new Vma(10, 20, VM.PFNMAP, file, 10)],
    [
      'hugetlb',
      new Vma(0, 512, VM.HUGETLB, new HugetlbMemory(9)),
      new Vma(512, 1024, VM.HUGETLB, new HugetlbMemory(9), 512),
    ],
  ])('keeps apart: %s', (_, first, second) => {
    expect(merged(first, second)).toHaveLength(2);
  });

  test('joins over several areas, and nothing outside the range and its neighbours', () => {
    const tree = new VmaTree();
    for (const [start, end] of [
      [0, 5],
      [5, 10],
      [10, 15],
      [15, 20],
      [21, 25],
      [25, 30],
    ]) {
      tree.insert(new Vma(start, end, VM.READ, anonymousMemory));
    }
    tree.mergeAround(10, 12);
    expect(ranges(tree)).toEqual([
      [0, 5],
      [5, 20],
      [21, 25],
      [25, 30],
    ]);
  });
});

test('more VMAs than a call has arguments are changed at once', () => {
  const count = 200_000;
  const tree = new VmaTree();
  for (let i = 0; i < count; i++) tree.insert(new Vma(4 * i, 4 * i + 3, VM.READ));
  tree.replace(1, 4 * count, (part) => part.part(part.start, part.end, VM.READ | VM.WRITE));
  expect([...tree].filter(({ flags }) => flags & VM.WRITE)).toHaveLength(count);
});
