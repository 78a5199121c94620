import { FrameRun, type FrameSource } from '@pinfold/mm';
import { expect, it } from 'vitest';
import { ScatteredFrames } from './scattered-frames.ts';

/** Hands out frames in order, up to a number of them. */
function inOrder(npage: number): FrameSource {
  let next = 100;
  return {
    framesFor(_vpn, _npage, order, out) {
      const pages = 2 ** order;
      out.pfn = next + pages > 100 + npage ? -1 : next;
      out.npage = pages;
      out.order = order;
      if (out.pfn >= 0) next += pages;
    },
  };
}

function take(frames: FrameSource, n: number): number[] {
  const out = new FrameRun();
  return Array.from({ length: n }, (_, vpn) => {
    frames.framesFor(vpn, 8, 0, out);
    expect(out.npage).toBe(1);
    return out.pfn;
  });
}

it('hands every page out once, hardly any next to the one before', () => {
  const pfns = take(new ScatteredFrames(inOrder(1000)), 500);
  expect(new Set(pfns).size).toBe(500);
  const neighbours = pfns.filter((pfn, i) => i > 0 && pfn === pfns[i - 1] + 1);
  expect(neighbours.length).toBeLessThan(50);
});

it('hands out all there are, and then none', () => {
  const pfns = take(new ScatteredFrames(inOrder(10)), 12);
  const all = Array.from({ length: 10 }, (_, i) => 100 + i);
  expect([...pfns].sort((a, b) => a - b)).toEqual([-1, -1, ...all]);
});

it('leaves large folios as they come', () => {
  const out = new FrameRun();
  new ScatteredFrames(inOrder(1000)).framesFor(0, 16, 4, out);
  expect([out.pfn, out.npage, out.order]).toEqual([100, 16, 4]);
});
