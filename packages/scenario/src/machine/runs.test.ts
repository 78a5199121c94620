import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Runs, type RunKind } from './runs.ts';

/** Pages with a value, of which equal neighbours are one run. */
interface Painted {
  readonly at: number;
  readonly npage: number;
  readonly value: number;
}

const painted: RunKind<Painted> = {
  part: ({ value }, at, npage) => ({ at, npage, value }),
  goesOn: (run, next) => run.value === next.value,
};
const PAGES = 40;

/** The runs of an array of pages; 0 is none. */
function runsOf(pages: readonly number[]): Painted[] {
  const runs: Painted[] = [];
  pages.forEach((value, at) => {
    const last = runs.at(-1);
    if (value === 0) return;
    if (last?.value === value && last.at + last.npage === at)
      runs[runs.length - 1] = { ...last, npage: last.npage + 1 };
    else runs.push({ at, npage: 1, value });
  });
  return runs;
}

const write = fc.record({
  from: fc.nat(PAGES - 1),
  values: fc.array(fc.nat(2), { minLength: 1, maxLength: 12 }),
});

it('are those of the pages, however they were written, and earlier versions stay', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
      let runs = new Runs(painted);
      const pages = new Array<number>(PAGES + 12).fill(0);
      const versions: [Runs<Painted>, Painted[]][] = [];
      for (const { from, values } of writes) {
        const before = runsOf(pages);
        values.forEach((value, i) => (pages[from + i] = value));
        const pieces = values.flatMap((value, i) =>
          value === 0 ? [] : [{ at: from + i, npage: 1, value }],
        );
        const replaced = runs.replace(from, from + values.length, pieces);
        const now = runsOf(pages);
        const isSame = JSON.stringify(now) === JSON.stringify(before);
        expect(replaced.runs === runs).toBe(isSame);
        runs = replaced.runs;
        // What was taken out and put in is the difference.
        const kept = before.filter((run) => !replaced.old.some(({ at }) => at === run.at));
        const all = [...kept, ...replaced.fresh].sort((a, b) => a.at - b.at);
        expect(all).toEqual(now);
        versions.push([runs, now]);
      }
      for (const [version, expected] of versions) {
        expect([...version]).toEqual(expected);
        expect(version.size).toBe(expected.length);
      }
    }),
  );
});

it('finds the run of a page', () => {
  const { runs } = new Runs(painted).replace(2, 5, [{ at: 2, npage: 3, value: 1 }]);
  expect(runs.at(4)).toEqual({ at: 2, npage: 3, value: 1 });
  expect([runs.at(1), runs.at(5)]).toEqual([undefined, undefined]);
});
