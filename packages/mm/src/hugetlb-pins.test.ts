import { KernelBug, X86_64 } from '@pinfold/base';
import { expect, test } from 'vitest';
import { addHugetlbPins, pageHuge, subHugetlbPins } from './hugetlb-pins.ts';
import { folioOrderOf, folioPagesLeft } from './folio.ts';
import { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import { Memory } from './memory.ts';

const HUGE = X86_64.sectionPages + 512;
const THP = HUGE + 512;
const LAST = 2 * X86_64.sectionPages - 512;

function boot(): Memory {
  const memmap = new MemMap([{ pfn: X86_64.sectionPages, npage: X86_64.sectionPages }]);
  memmap.allocFolio(HUGE, 9, PG.hugetlb | PG.anon);
  memmap.allocFolio(THP, 9, PG.anon);
  memmap.allocFolio(LAST, 9, PG.hugetlb);
  return new Memory(memmap, { rangeUnpinStep: 'nth_page' } as Memory['rules']);
}

/** Reference count, pins, and pins held according to the statistics. */
function counts(memory: Memory, pfn: number): number[] {
  const head = memory.memmap.headEntryOf(pfn);
  return [memory.memmap.refcount[head], memory.memmap.pincount[head], memory.vmstat.pinsHeld];
}

test('which pages are hugetlb', () => {
  const { memmap } = boot();
  const pfns = [HUGE, HUGE + 511, THP, X86_64.sectionPages, 5, 2 * X86_64.sectionPages];
  expect(pfns.map((pfn) => pageHuge(memmap, pfn))).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test('order, and pages to the end of the folio', () => {
  const { memmap } = boot();
  const pfns = [HUGE, HUGE + 511, X86_64.sectionPages];
  expect(pfns.map((pfn) => [folioOrderOf(memmap, pfn), folioPagesLeft(memmap, pfn)])).toEqual([
    [9, 512],
    [9, 1],
    [0, 1],
  ]);
});

test('pins are added to both counts, and dropped; the first drop for writing marks it dirty', () => {
  const memory = boot();
  addHugetlbPins(memory, HUGE + 7, 500);
  expect(counts(memory, HUGE)).toEqual([501, 500, 500]);
  expect(subHugetlbPins(memory, HUGE, 200, true)).toBe(true);
  expect(subHugetlbPins(memory, HUGE + 200, 300, true)).toBe(true);
  expect(counts(memory, HUGE)).toEqual([1, 0, 0]);
  expect(memory.counters.snapshot()).toMatchObject({
    bulkPins: 1,
    grabAtomics: 2,
    putCalls: 2,
    putAtomics: 4,
    dirtyTests: 2,
    dirtyLocks: 1,
  });
});

test.each([
  ['a range that leaves the huge page', HUGE + 256, 257],
  ['more pages than pins', HUGE, 11],
])('nothing is dropped for %s', (_, pfn, npage) => {
  const memory = boot();
  addHugetlbPins(memory, HUGE, 10);
  expect(subHugetlbPins(memory, pfn, npage, false)).toBe(false);
  expect(counts(memory, HUGE)).toEqual([11, 10, 10]);
});

test('the last page of a range has no struct page', () => {
  const memory = boot();
  addHugetlbPins(memory, LAST, 512);
  expect(() => subHugetlbPins(memory, LAST + 256, 512, false)).toThrow(KernelBug);
});

test('counts wrap', () => {
  const memory = boot();
  const { memmap } = memory;
  memmap.refcount[memmap.headEntryOf(HUGE)] = 2 ** 31 - 1;
  addHugetlbPins(memory, HUGE, 1);
  expect(counts(memory, HUGE)).toEqual([-(2 ** 31), 1, 1]);
});
