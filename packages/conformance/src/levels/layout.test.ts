import type { LayoutExtent } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { compareRegion } from './layout.ts';

function compare(recorded: readonly LayoutExtent[], model: readonly LayoutExtent[]): unknown[] {
  return compareRegion('A', recorded, model).map((found) => [
    found.path,
    found.recorded,
    found.model,
  ]);
}

describe('equal layouts', () => {
  it.each<[string, LayoutExtent[], LayoutExtent[]]>([
    ['nothing', [], []],
    [
      'cut differently',
      [[0, 100, 8, 0, 'ax']],
      [
        [0, 100, 3, 0, 'ax'],
        [3, 103, 5, 0, 'ax'],
      ],
    ],
    ['exclusive or not', [[0, 512, 512, 9, 'atx']], [[0, 512, 512, 9, 'a']]],
    [
      'a small zero page',
      [[4, 9, 12, 0, 'z']],
      [
        [4, 9, 5, 0, 'zf'],
        [9, 9, 7, 0, 'z'],
      ],
    ],
    [
      'a huge zero page twice',
      [
        [0, 512, 512, 9, 'ztf'],
        [512, 512, 512, 9, 'ztf'],
      ],
      [
        [0, 512, 512, 9, 'z'],
        [512, 512, 200, 9, 'z'],
        [712, 712, 312, 9, 'z'],
      ],
    ],
    [
      'a page of unknown kind',
      [[0, 100, 2, 0, 'x']],
      [
        [0, 100, 1, 0, 'ax'],
        [1, 101, 1, 0, 'f'],
      ],
    ],
  ])('%s', (_, recorded, model) => {
    expect(compare(recorded, model)).toEqual([]);
  });
});

describe('differences', () => {
  it.each<[string, LayoutExtent[], LayoutExtent[], unknown[]]>([
    [
      'another frame',
      [[0, 100, 4, 0, 'ax']],
      [
        [0, 100, 2, 0, 'ax'],
        [2, 200, 1, 0, 'ax'],
        [3, 103, 1, 0, 'ax'],
      ],
      [['layout.A[2]', 'pfn 102 order 0 a', 'pfn 200 order 0 a']],
    ],
    [
      'another order',
      [[0, 512, 512, 9, 'ax']],
      [[0, 512, 512, 0, 'ax']],
      [['layout.A[0..511]', 'pfn 512 order 9 a', 'pfn 512 order 0 a']],
    ],
    [
      'another kind',
      [[0, 512, 1, 0, 'hax']],
      [[0, 512, 1, 0, 'a']],
      [['layout.A[0]', 'pfn 512 order 0 ah', 'pfn 512 order 0 a']],
    ],
    [
      'a kind that only the model does not know',
      [[0, 512, 1, 0, 'a']],
      [[0, 512, 1, 0, 'x']],
      [['layout.A[0]', 'pfn 512 order 0 a', 'pfn 512 order 0 ']],
    ],
    [
      'pages that only one side has',
      [[2, 102, 2, 0, 'a']],
      [[0, 100, 3, 0, 'a']],
      [
        ['layout.A[0..1]', undefined, 'pfn 100 order 0 a'],
        ['layout.A[3]', 'pfn 103 order 0 a', undefined],
      ],
    ],
  ])('%s', (_, recorded, model, expected) => {
    expect(compare(recorded, model)).toEqual(expected);
  });

  it('are at most twenty', () => {
    const pages = Array.from({ length: 50 }, (_, i): LayoutExtent => [i, 2 * i, 1, 0, 'a']);
    expect(compare(pages, [])).toHaveLength(20);
  });
});
