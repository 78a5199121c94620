import { InputError, pagesOf, PMD_ORDER, PUD_ORDER } from '@pinfold/base';
import { FrameRun } from '@pinfold/mm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backing } from './backings.ts';
import { layoutName, layoutOf, layouts, type Layout } from './layouts.ts';

const VPN = 2 ** 24;

/** Every run that a layout hands out for a mapping. */
function runsOf(layout: Layout, npage: number): { pfn: number; npage: number; order: number }[] {
  const { frames } = layout.place(VPN, npage);
  const runs = [];
  const out = new FrameRun();
  for (let done = 0; done < npage; done += out.npage) {
    frames.framesFor(VPN + done, npage - done, 0, out);
    runs.push({ pfn: out.pfn, npage: out.npage, order: out.order });
  }
  return runs;
}

describe.each([
  { tag: 'S4', order: 0, max: 3000 },
  { tag: 'H2', order: PMD_ORDER, max: 3000 },
  { tag: 'H1', order: PUD_ORDER, max: 300 },
] as const)('layout $tag', ({ tag, order, max }) => {
  const size = pagesOf(order);

  it('has no two neighbours adjacent, and every page once, aligned and in memory', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max }), (pages) => {
        const runs = runsOf(layouts[tag], pages * size);
        const { memory } = layouts[tag].place(VPN, pages * size);
        expect(new Set(runs.map(({ pfn }) => pfn)).size).toBe(pages);
        runs.forEach((run, i) => {
          expect(run).toMatchObject({ npage: size, order });
          expect(run.pfn % size).toBe(0);
          expect(run.pfn).toBeGreaterThanOrEqual(memory.pfn);
          expect(run.pfn + size).toBeLessThanOrEqual(memory.pfn + memory.npage);
          expect(run.pfn).not.toBe((runs[i - 1]?.pfn ?? 0) + size);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('answers from inside a page what it answers from its start', () => {
    const { frames } = layouts[tag].place(VPN, 4 * size);
    const start = new FrameRun();
    const inside = new FrameRun();
    frames.framesFor(VPN + 2 * size, size, 0, start);
    frames.framesFor(VPN + 3 * size - 1, size, 0, inside);
    expect(inside).toMatchObject({ pfn: start.pfn + size - 1, npage: 1, order });
  });
});

describe('layout T4', () => {
  it('is one run, congruent to the virtual pages modulo 2 MiB but not modulo 1 GiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (npage) => {
        const [run, ...others] = runsOf(layouts.T4, npage);
        const { memory } = layouts.T4.place(VPN, npage);
        expect(others).toEqual([]);
        expect(run).toMatchObject({ npage, order: 0 });
        expect((VPN - run.pfn) % pagesOf(PMD_ORDER)).toBe(0);
        expect((VPN - run.pfn) % pagesOf(PUD_ORDER)).not.toBe(0);
        expect(run.pfn).toBeGreaterThanOrEqual(memory.pfn);
        expect(run.pfn + npage).toBeLessThanOrEqual(memory.pfn + memory.npage);
      }),
    );
  });
});

it('gives every layout its own tag', () => {
  for (const [tag, layout] of Object.entries(layouts)) expect(layout.tag).toBe(tag);
});

it.each([
  ['thp', 'H2', 'H2'],
  ['4k', 'T4', 'S4'],
  ['hugetlb-2m', 'H2', 'H2'],
  ['hugetlb-1g', 'H1', 'H1'],
])('lays %s out as %s, or as %s when scattered', (name, contiguous, scattered) => {
  expect(layoutOf(backing(name), 'contiguous').tag).toBe(contiguous);
  expect(layoutOf(backing(name), 'scattered').tag).toBe(scattered);
});

it('reads the names of layouts', () => {
  expect(layoutName('scattered')).toBe('scattered');
  expect(() => layoutName('random', '--layout')).toThrow(
    new InputError('--layout', 'one of contiguous, scattered', "'random'"),
  );
});
