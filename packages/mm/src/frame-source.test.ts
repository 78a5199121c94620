import { InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { FrameRun, PrescribedLayout, type LayoutRun } from './frame-source.ts';

/** What a layout answers for pages from one on: [pfn, npage, order], pfn -1 for a hole. */
function ask(layout: PrescribedLayout, vpn: number, npage: number): number[] {
  const run = new FrameRun();
  layout.framesFor(vpn, npage, 0, run);
  return [run.pfn, run.npage, run.order];
}

describe('a prescribed layout', () => {
  const layout = new PrescribedLayout([
    { vpn: 1000, pfn: 7000, npage: 100, order: 0 },
    { vpn: 512, pfn: 1024, npage: 128, order: 4 },
    { vpn: 1100, pfn: 9000, npage: 1, order: 0 },
  ]);

  test.each([
    // vpn, pages wanted, [pfn, pages, order]
    [512, 128, [1024, 128, 4]],
    [512, 5, [1024, 5, 4]],
    [520, 128, [1032, 120, 4]],
    [639, 10, [1151, 1, 4]],
    [1000, 200, [7000, 100, 0]],
    [1099, 200, [7099, 1, 0]],
    [1100, 200, [9000, 1, 0]],
  ])('page %i, %i wanted: the rest of the run', (vpn, npage, run) => {
    expect(ask(layout, vpn, npage)).toEqual(run);
  });

  test.each([
    [0, 100, 100],
    [0, 2000, 512],
    [640, 1000, 360],
    [1101, 50, 50],
    [2 ** 36, 2 ** 20, 2 ** 20],
  ])('page %i, %i wanted: a hole of %i pages', (vpn, npage, hole) => {
    expect(ask(layout, vpn, npage).slice(0, 2)).toEqual([-1, hole]);
  });
});

test('an empty layout is one hole', () => {
  expect(ask(new PrescribedLayout([]), 5, 7).slice(0, 2)).toEqual([-1, 7]);
});

test('a layout at 2^36 pages is as exact as any', () => {
  const layout = new PrescribedLayout([{ vpn: 2 ** 36 - 512, pfn: 2 ** 36, npage: 512, order: 9 }]);
  expect(ask(layout, 2 ** 36 - 1, 1)).toEqual([2 ** 36 + 511, 1, 9]);
});

describe('a layout that makes no sense', () => {
  const run = (vpn: number, npage: number): LayoutRun => ({ vpn, pfn: 1, npage, order: 0 });

  test.each([
    ['an empty run', [run(5, 0)], 'layout run at virtual page 5: expected at least one page'],
    [
      'two runs that overlap',
      [run(5, 3), run(7, 1)],
      'layout run at virtual page 7: expected runs',
    ],
    ['the same page twice', [run(5, 1), run(5, 1)], 'layout run at virtual page 5: expected runs'],
  ])('%s', (_, runs, message) => {
    expect(() => new PrescribedLayout(runs)).toThrow(InputError);
    expect(() => new PrescribedLayout(runs)).toThrow(message);
  });
});
