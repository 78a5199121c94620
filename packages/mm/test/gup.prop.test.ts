// GUP and the four ways to unpin, on random address spaces, against the kernel's loops written out.
import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GUP_PIN_COUNTING_BIAS } from '../src/folio.ts';
import { FOLL } from '../src/foll.ts';
import { pinUserPagesRemote } from '../src/gup.ts';
import type { MemMap } from '../src/memmap.ts';
import { PG } from '../src/page-state.ts';
import type { Memory } from '../src/memory.ts';
import {
  unpinUserPage,
  unpinUserPageRangeDirtyLock,
  unpinUserPagesDirtyLock,
  unpinUserPagesOneByOne,
} from '../src/unpin.ts';
import { plainGup } from './plain-gup.ts';
import { GEOMETRIES, runsOn } from './machine.ts';
import { spaceOn } from './spaces.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const call = fc.record({
  at: fc.nat(),
  npage: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1100 })),
  flags: fc.constantFrom(FOLL.LONGTERM, FOLL.LONGTERM | FOLL.WRITE, FOLL.WRITE, 0),
});

/** Counts of every folio in use, without the dirty flag. */
function counts(memmap: MemMap): string[] {
  return [...memmap.foliosInUse()].map((f) => `${f.pfn} ${f.order} ${f.refcount} ${f.pincount}`);
}

/** Counts of every folio after one more pin of each of these pages. */
function countsWithPins(memmap: MemMap, pfns: readonly number[]): string[] {
  const pins = new Map<number, number>();
  for (const pfn of pfns) {
    const head = memmap.headEntryOf(pfn);
    pins.set(head, (pins.get(head) ?? 0) + 1);
  }
  return [...memmap.foliosInUse()].map(({ pfn, order, refcount, pincount }) => {
    const more = pins.get(memmap.headEntryOf(pfn)) ?? 0;
    return order === 0
      ? `${pfn} 0 ${refcount + more * GUP_PIN_COUNTING_BIAS} 0`
      : `${pfn} ${order} ${refcount + more} ${pincount + more}`;
  });
}

/** Counters that are not 0. */
function counted(values: CounterValues): Partial<CounterValues> {
  return Object.fromEntries(
    COUNTER_NAMES.filter((name) => values[name] !== 0).map((name) => [name, values[name]]),
  );
}

/** The given counters without those that are 0. */
function nonZero(values: Partial<CounterValues>): Partial<CounterValues> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
}

/** Consecutive pages of one folio are put at once: the segments of a list of frames. */
function segments(memmap: MemMap, pfns: readonly number[]): { heads: number[]; atomics: number } {
  const heads = pfns.map((pfn) => memmap.headEntryOf(pfn));
  const starts = heads.filter((head, i) => i === 0 || head !== heads[i - 1]);
  return {
    heads: starts,
    atomics: starts.reduce((sum, head) => sum + (memmap.order[head] > 0 ? 2 : 1), 0),
  };
}

test.each(GEOMETRIES)(
  'pages of $pageSize bytes: pins what a walk leaf by leaf pins, at its cost, and can be undone',
  (geometry) => {
    fc.assert(
      fc.property(
        spaceOn(geometry),
        fc.array(call, { minLength: 1, maxLength: 4 }),
        ({ mm, npage, first }, calls) => {
          const { memory } = mm;
          const { memmap, vmstat, counters } = memory;
          for (const { at, npage: wanted, flags } of calls) {
            const start = first + (at % (npage + 2)) - 1;
            const before = counts(memmap);
            const plain = plainGup(mm, start, wanted, flags);
            const expected = countsWithPins(memmap, plain.pfns);
            const snapshot = counters.snapshot();
            const acquired = vmstat.nrFollPinAcquired;
            const pages = new Float64Array(wanted);

            expect(pinUserPagesRemote(mm, start, wanted, flags, pages)).toBe(plain.ret);

            const since = counters.since(snapshot);
            expect(since).toMatchObject({
              gupCalls: 1,
              gupSteps: plain.steps,
              pageFills: plain.pfns.length,
              folioGrabs: plain.grabs,
              grabAtomics: plain.atomics,
              migrateChecks: flags & FOLL.LONGTERM ? plain.pfns.length : 0,
            });
            const filled = [...pages.subarray(0, plain.pfns.length)].map((page) =>
              memmap.pageToPfn(page),
            );
            expect(filled).toEqual(plain.pfns);
            expect(vmstat.nrFollPinAcquired - acquired).toBe(plain.pfns.length);
            if (plain.ret > 0) {
              expect(counts(memmap)).toEqual(expected);
              unpinUserPagesDirtyLock(memory, pages, plain.ret, false);
            }
            expect(counts(memmap)).toEqual(before);
            expect(vmstat.pinsHeld).toBe(0);
          }
        },
      ),
      { seed: SEED + 10, numRuns: runsOn(geometry, 300) },
    );
  },
);

/** Unpins frames that were pinned together. */
type Unpin = (memory: Memory, pages: Float64Array, pfns: readonly number[], dirty: boolean) => void;

/** Calls a function for every run of consecutive frames. */
function eachRun(pfns: readonly number[], run: (first: number, npage: number) => void): void {
  for (let from = 0; from < pfns.length;) {
    let to = from + 1;
    while (to < pfns.length && pfns[to] === pfns[to - 1] + 1) to++;
    run(pfns[from], to - from);
    from = to;
  }
}

// Each with its count of calls and of folio segments, computed from the frames.
const WAYS: readonly [string, Unpin, (memmap: MemMap, pfns: readonly number[]) => number[][]][] = [
  [
    'one array',
    (memory, pages, pfns, dirty) => unpinUserPagesDirtyLock(memory, pages, pfns.length, dirty),
    (_, pfns) => [[...pfns]],
  ],
  [
    'page by page in one loop',
    (memory, _, pfns, dirty) =>
      eachRun(pfns, (first, npage) => unpinUserPagesOneByOne(memory, first, npage, dirty)),
    (_, pfns) => pfns.map((pfn) => [pfn]),
  ],
  [
    'one physical range after the other',
    (memory, _, pfns, dirty) =>
      eachRun(pfns, (first, npage) =>
        unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(first), npage, dirty),
      ),
    (_, pfns) => {
      const runs: number[][] = [];
      eachRun(pfns, (first, npage) =>
        runs.push(Array.from({ length: npage }, (__, i) => first + i)),
      );
      return runs;
    },
  ],
];

describe.each(GEOMETRIES)('pages of $pageSize bytes', (geometry) => {
  test.each(WAYS)('unpinning as %s', (way, unpin, callsOf) => {
    const byRange = way.includes('range');
    fc.assert(
      fc.property(
        spaceOn(geometry),
        call,
        fc.boolean(),
        ({ mm, npage, first }, { at, npage: wanted, flags }, dirty) => {
          const { memory } = mm;
          const { memmap, counters } = memory;
          const pages = new Float64Array(wanted);
          const before = counts(memmap);
          const pinned = pinUserPagesRemote(mm, first + (at % npage), wanted, flags, pages);
          fc.pre(pinned > 0);
          const pfns = [...pages.subarray(0, pinned)].map((page) => memmap.pageToPfn(page));
          const calls = callsOf(memmap, pfns);
          const parts = calls.map((frames) => segments(memmap, frames));
          const snapshot = counters.snapshot();

          unpin(memory, pages, pfns, dirty);

          expect(counts(memmap)).toEqual(before);
          const heads = parts.flatMap((part) => part.heads);
          expect(counted(counters.since(snapshot))).toEqual(
            nonZero({
              unpinCalls: calls.length,
              unpinRangeCalls: byRange ? calls.length : 0,
              unpinUserPagesCalls: byRange || dirty ? 0 : calls.length,
              putCalls: heads.length,
              putAtomics: parts.reduce((sum, { atomics }) => sum + atomics, 0),
              dirtyTests: dirty ? heads.length : 0,
              dirtyLocks: dirty ? new Set(heads).size : 0,
              dirtyLocksLarge: dirty
                ? new Set(heads.filter((head) => memmap.order[head] > 0)).size
                : 0,
              putEntries: way === 'one array' ? pinned : 0,
            }),
          );
          for (const head of heads) expect((memmap.flags[head] & PG.dirty) !== 0).toBe(dirty);
          expect(memory.vmstat.pinsHeld).toBe(0);
        },
      ),
      { seed: SEED + 11, numRuns: runsOn(geometry, 200) },
    );
  });

  test('unpinning page after page', () => {
    fc.assert(
      fc.property(spaceOn(geometry), call, ({ mm, npage, first }, { at, npage: wanted, flags }) => {
        const { memory } = mm;
        const pages = new Float64Array(wanted);
        const before = counts(memory.memmap);
        const pinned = pinUserPagesRemote(
          mm,
          first + (at % npage),
          Math.min(wanted, 50),
          flags,
          pages,
        );
        fc.pre(pinned > 0);
        for (let i = pinned - 1; i >= 0; i--) unpinUserPage(memory, pages[i]);
        expect(counts(memory.memmap)).toEqual(before);
        expect(memory.vmstat.pinsHeld).toBe(0);
      }),
      { seed: SEED + 12, numRuns: runsOn(geometry, 100) },
    );
  });
});
