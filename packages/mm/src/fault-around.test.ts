// Which pages of the page cache a read fault maps besides the one that was asked for.
import { Errno } from '@pinfold/base';
import { expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  framesAt,
  map,
  pin,
  RW,
} from '../test/faulting.ts';
import { touchPage, VM_FAULT } from './fault.ts';
import { adviseCollapse } from './collapse.ts';
import { MappedFile } from './page-cache.ts';
import { adviseRemove } from './syscalls.ts';
import { VM, Vma } from './vma.ts';

const SHARED = RW | VM.SHARED;
const ELSEWHERE = BASE + 2048;

/** Where a file of 600 pages is mapped, and which of its pages are not in the cache. */
interface Mapping {
  readonly start?: number;
  readonly end?: number;
  readonly flags?: number;
  readonly holes?: readonly number[];
}

/** The pages of the file that are mapped once a page of it was read. */
function mappedByRead(at: number, mapping: Mapping): number[] {
  const { start = 0, end = 600, flags = SHARED, holes = [] } = mapping;
  const { mm } = bootFaulting();
  const file = new MappedFile('shmem', 600);
  map(mm, ELSEWHERE, 600, file, SHARED);
  for (let i = 0; i < 600; i++) if (!holes.includes(i)) touchPage(mm, ELSEWHERE + i, true);
  map(mm, BASE + start, end - start, file, flags, start);
  touchPage(mm, BASE + at, false);
  return framesAt(mm, BASE, 600).flatMap((pfn, i) => (pfn < 0 ? [] : [i]));
}

/** Pages from one on. */
function pages(first: number, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => first + i);
}

test.each<[string, number, number[], Mapping]>([
  ['the aligned 64 KiB', 21, pages(16, 16), {}],
  ['of a private mapping too', 21, pages(16, 16), { flags: RW }],
  ['64 KiB from the start of the area', 21, pages(19, 16), { start: 19 }],
  ['up to the end of the area', 21, pages(16, 8), { end: 24 }],
  ['up to the end of the last-level table', 511, pages(500, 12), { start: 500 }],
  ['nothing that is not in the cache', 16, [16, 31], { holes: pages(17, 14) }],
  ['the page itself, though it was not in the cache', 21, pages(16, 16), { holes: [21] }],
])('a read fault maps %s', (_, at, expected, mapping) => {
  expect(mappedByRead(at, mapping)).toEqual(expected);
});

test('all with one fault and a reference each; a pin finds them', () => {
  const { mm, memory } = bootFaulting();
  const file = new MappedFile('shmem', 16);
  map(mm, BASE, 16, file, SHARED);
  file.fill(mm, new Vma(BASE, BASE + 16, SHARED, file));
  expect(counting(memory, () => touchPage(mm, BASE + 5, false))).toEqual({ pageFaults: 1 });
  expect(foliosOf(memory)).toEqual(Array(16).fill([0, 2, 0]));
  expect(entryAt(mm, BASE)?.bits).toBe('write');
  expect(counting(memory, () => pin(mm, BASE, 16)).pageFaults).toBeUndefined();
});

test('the page asked for may lie beyond the end', () => {
  const { mm } = bootFaulting();
  const file = new MappedFile('shmem', 3);
  map(mm, BASE, 4, file);
  file.fill(mm, new Vma(BASE, BASE + 4, RW, file));
  expect(touchPage(mm, BASE + 3, false)).toBe(VM_FAULT.SIGBUS);
  expect(framesAt(mm, BASE, 4).map((pfn) => pfn >= 0)).toEqual([true, true, true, false]);
});

test('ends with the file, although its huge page goes on', () => {
  const { mm } = bootFaulting({ thp: { enabled: 'never' } });
  const file = new MappedFile('shmem', 30);
  map(mm, ELSEWHERE, 512, file, SHARED);
  touchPage(mm, ELSEWHERE, true);
  expect(adviseCollapse(mm, ELSEWHERE, 512)).toBe(0);
  map(mm, BASE, 512, file, RW | VM.NOHUGEPAGE);
  touchPage(mm, BASE + 20, false);
  const mapped = framesAt(mm, BASE, 512).flatMap((pfn, i) => (pfn < 0 ? [] : [i]));
  expect(mapped).toEqual(pages(16, 14));
});

test('hugetlbfs maps the one huge page', () => {
  const { mm } = bootFaulting({ hugePages: 2 });
  const file = new MappedFile('hugetlbfs', 1024, 9);
  map(mm, BASE, 1024, file, SHARED | VM.HUGETLB);
  file.fill(mm, new Vma(BASE, BASE + 1024, SHARED, file));
  touchPage(mm, BASE, false);
  expect(entryAt(mm, BASE + 512)).toBeNull();
});

test.each(['window', 'folio'] as const)(
  'of a huge page in 4 KiB entries: the %s',
  (faultAround) => {
    const { mm } = bootFaulting({ thp: { shmem: 'force' }, rules: { faultAround } });
    const file = new MappedFile('shmem', 512);
    map(mm, ELSEWHERE, 512, file, SHARED);
    touchPage(mm, ELSEWHERE, true);
    map(mm, BASE, 512, file, RW | VM.NOHUGEPAGE);
    touchPage(mm, BASE + 20, false);
    const mapped = framesAt(mm, BASE, 512).flatMap((pfn, i) => (pfn < 0 ? [] : [i]));
    expect(mapped).toEqual(faultAround === 'window' ? pages(16, 16) : pages(0, 512));
    expect(entryAt(mm, BASE + 20)?.level).toBe(0);
  },
);

test.each([
  [4, [2]],
  [20, [4, 2]],
  [7, [2, 1, 0]],
])('a file of %i pages on a disk lies in folios as large as its writes', (npage, orders) => {
  const { mm, memory } = bootFaulting();
  const file = new MappedFile('disk', npage);
  file.fill(mm, new Vma(BASE, BASE + npage, RW, file));
  expect(foliosOf(memory).map(([order]) => order)).toEqual(expect.arrayContaining(orders));
  expect(foliosOf(memory)).toHaveLength(orders.length);
});

test('MADV_REMOVE takes pages of the file away from all, but not their copies', () => {
  const { mm, memory } = bootFaulting({ thp: { enabled: 'never' } });
  const file = new MappedFile('shmem', 4);
  map(mm, BASE, 4, file, SHARED);
  map(mm, ELSEWHERE, 4, file);
  touchPage(mm, ELSEWHERE, true);
  for (let i = 0; i < 4; i++) touchPage(mm, BASE + i, true);
  touchPage(mm, ELSEWHERE + 1, false);
  expect(adviseRemove(mm, BASE, 2)).toBe(0);
  expect(framesAt(mm, BASE, 4).map((pfn) => pfn >= 0)).toEqual([false, false, true, true]);
  expect(entryAt(mm, ELSEWHERE)).not.toBeNull();
  expect(entryAt(mm, ELSEWHERE + 1)).toBeNull();
  expect(foliosOf(memory)).toHaveLength(3);
  expect(adviseRemove(mm, ELSEWHERE, 1)).toBe(-Errno.EACCES);
});
