import { InputError, pagesOf, PMD_ORDER, PUD_ORDER } from '@pinfold/base';
import { FrameRun } from '@pinfold/mm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backing } from './backings.ts';
import { layout, layoutName, layoutOf, layouts, type Layout } from './layouts.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

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
      { seed: SEED + 30, numRuns: 20 },
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

describe.each([
  { tag: 'T4', order: 0, aligned: PMD_ORDER, notAligned: PUD_ORDER, max: 2 ** 30 },
  { tag: 'H2-adjacent', order: PMD_ORDER, aligned: PMD_ORDER, notAligned: PUD_ORDER, max: 2 ** 21 },
  { tag: 'H1-adjacent', order: PUD_ORDER, aligned: PUD_ORDER, notAligned: null, max: 2 ** 12 },
] as const)('layout $tag', ({ tag, order, aligned, notAligned, max }) => {
  it('is one run, congruent to the virtual pages as far as its leaves are large', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max }), (pages) => {
        const npage = pages * pagesOf(order);
        const [run, ...others] = runsOf(layouts[tag], npage);
        const { memory } = layouts[tag].place(VPN, npage);
        expect(others).toEqual([]);
        expect(run).toMatchObject({ npage, order });
        expect((VPN - run.pfn) % pagesOf(aligned)).toBe(0);
        if (notAligned !== null) expect((VPN - run.pfn) % pagesOf(notAligned)).not.toBe(0);
        expect(run.pfn).toBeGreaterThanOrEqual(memory.pfn);
        expect(run.pfn + npage).toBeLessThanOrEqual(memory.pfn + memory.npage);
        expect(layouts[tag]).toMatchObject({ order, leafOrder: aligned });
      }),
      { seed: SEED + 31 },
    );
  });
});

it('finds every layout by its tag', () => {
  for (const [tag, known] of Object.entries(layouts)) {
    expect(known.tag).toBe(tag);
    expect(layout(tag)).toBe(known);
    expect(known.source).toMatch(/\S/);
  }
  expect(() => layout('H3', '--layout')).toThrow(
    new InputError('--layout', 'one of S4, T4, H2, H1, H2-adjacent, H1-adjacent', "'H3'"),
  );
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
