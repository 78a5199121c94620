import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot, folioOf, RULES, SECTION, type Boot } from '../test/machine.ts';
import { adjacentStrangers } from '../test/sections.ts';
import { tryGrabFolio } from './folio.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import { Memory } from './memory.ts';
import {
  unpinUserFolioDirtyLocked,
  unpinUserPage,
  unpinUserPageRangeDirtyLock,
  unpinUserPages,
  unpinUserPagesDirtyLock,
  unpinUserPagesOneByOne,
} from './unpin.ts';

/** Pages of a small machine: 16 small ones, two folios of 16 pages, two of 512, all pinned once per page. */
const SMALL = SECTION;
const FOLIO = SECTION + 512;
const THP = SECTION + 1024;

function pinned(machine: Boot = {}): Memory {
  const memory = boot(machine);
  const { memmap } = memory;
  for (let i = 0; i < 16; i++) memmap.allocFolio(SMALL + i, 0, PG.anon);
  for (const pfn of [FOLIO, FOLIO + 16]) memmap.allocFolio(pfn, 4, PG.anon);
  for (const pfn of [THP, THP + 512]) memmap.allocFolio(pfn, 9, PG.anon);
  for (const { pfn, order } of [...memmap.foliosInUse()]) tryGrabFolio(memmap, pfn, 2 ** order);
  memory.vmstat.nrFollPinAcquired = 16 + 32 + 1024;
  return memory;
}

function pagesOf(memmap: MemMap, pfns: readonly number[]): Float64Array {
  return Float64Array.from(pfns, (pfn) => memmap.pfnToPage(pfn));
}

function frames(pfn: number, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => pfn + i);
}

function isDirty(memmap: MemMap, pfn: number): boolean {
  return (memmap.flags[memmap.headEntryOf(pfn)] & PG.dirty) !== 0;
}

describe('unpin_user_folio_dirty_locked, as proposed in June 2025', () => {
  test.each([
    ['a small folio', SMALL, 1, 1, 1],
    ['a part of a large folio', THP + 100, 300, 512 - 300, 2],
  ])('drops pins of %s in one put, and dirties it once', (_, pfn, npins, left, atomics) => {
    const memory = pinned();
    const { memmap } = memory;
    const before = memory.vmstat.pinsHeld;
    unpinUserFolioDirtyLocked(memory, pfn, npins, false);
    expect([memory.vmstat.pinsHeld, isDirty(memmap, pfn)]).toEqual([before - npins, false]);
    expect(folioOf(memmap, pfn)?.refcount).toBe(left + (pfn === SMALL ? 0 : 1));
    expect(memory.counters.snapshot()).toMatchObject({
      unpinCalls: 1,
      unpinRangeCalls: 0,
      putCalls: 1,
      putAtomics: atomics,
      dirtyTests: 0,
    });
  });

  test('dirties a clean folio under its lock, a dirty one without', () => {
    const memory = pinned();
    for (let i = 0; i < 2; i++) unpinUserFolioDirtyLocked(memory, FOLIO, 4, true);
    expect(isDirty(memory.memmap, FOLIO)).toBe(true);
    expect(memory.counters.snapshot()).toMatchObject({ dirtyTests: 2, dirtyLocks: 1 });
  });

  test('of which the folio holds fewer is a bug of the kernel', () => {
    expect(() => unpinUserFolioDirtyLocked(pinned(), FOLIO, 17, false)).toThrow(KernelBug);
  });
});

describe('unpin_user_page', () => {
  test('drops one pin of one page and never dirties', () => {
    const memory = pinned();
    const { memmap } = memory;
    unpinUserPage(memory, memmap.pfnToPage(SMALL));
    unpinUserPage(memory, memmap.pfnToPage(THP + 77));
    expect(folioOf(memmap, SMALL)).toMatchObject({ refcount: 1 });
    expect(folioOf(memmap, THP)).toMatchObject({ refcount: 512, pincount: 511 });
    expect([isDirty(memmap, SMALL), isDirty(memmap, THP)]).toEqual([false, false]);
    expect(memory.vmstat.nrFollPinReleased).toBe(2);
    expect(memory.counters.snapshot()).toMatchObject({ unpinCalls: 2, putCalls: 2, putAtomics: 3 });
  });
});

describe('unpin_user_pages: one put for consecutive entries of one folio', () => {
  test.each<[string, number[], number, number]>([
    // frames, puts, atomics
    ['small pages', frames(SMALL, 5), 5, 5],
    ['a large folio', frames(FOLIO, 16), 1, 2],
    ['two large folios', frames(FOLIO, 32), 2, 4],
    [
      'a folio in two parts, another between',
      [...frames(FOLIO, 3), SMALL, ...frames(FOLIO + 3, 3)],
      3,
      5,
    ],
    ['the pages of a folio in any order', [FOLIO + 5, FOLIO, FOLIO + 9], 1, 2],
  ])('%s', (_, pfns, puts, atomics) => {
    const memory = pinned();
    unpinUserPages(memory, pagesOf(memory.memmap, pfns), pfns.length);
    expect(memory.vmstat.nrFollPinReleased).toBe(pfns.length);
    expect(memory.counters.snapshot()).toMatchObject({
      unpinCalls: 0,
      unpinUserPagesCalls: 1,
      putCalls: puts,
      putAtomics: atomics,
      dirtyTests: 0,
      dirtyLocks: 0,
    });
  });

  test('of a part of the array', () => {
    const memory = pinned();
    unpinUserPages(memory, pagesOf(memory.memmap, frames(SMALL, 5)), 2, 3);
    const left = frames(SMALL, 5).map((pfn) => folioOf(memory.memmap, pfn).refcount);
    expect(left).toEqual([1025, 1025, 1025, 1, 1]);
  });
});

describe('dirtying', () => {
  test('locks and marks every clean folio once, with a test per put', () => {
    const memory = pinned();
    const { memmap } = memory;
    const pfns = [...frames(SMALL, 3), ...frames(FOLIO, 16), SMALL + 3];
    memmap.flags[memmap.headEntryOf(SMALL + 1)] |= PG.dirty;
    unpinUserPagesDirtyLock(memory, pagesOf(memmap, pfns), pfns.length, true);
    expect(memory.counters.snapshot()).toMatchObject({ putCalls: 5, dirtyTests: 5, dirtyLocks: 4 });
    for (const pfn of pfns) expect(isDirty(memmap, pfn)).toBe(true);
    expect(isDirty(memmap, FOLIO + 16)).toBe(false);
  });

  test('tests a folio of many puts every time, and locks it once', () => {
    const memory = pinned();
    unpinUserPagesOneByOne(memory, FOLIO, 16, true);
    expect(memory.counters.snapshot()).toMatchObject({
      unpinCalls: 16,
      putCalls: 16,
      dirtyTests: 16,
      dirtyLocks: 1,
    });
  });

  test('is not done for memory that the device only reads', () => {
    const memory = pinned();
    unpinUserPagesOneByOne(memory, SMALL, 4, false);
    unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(FOLIO), 32, false);
    // Each of the four calls leaves its page to unpin_user_pages.
    expect(memory.counters.snapshot()).toMatchObject({
      unpinCalls: 5,
      unpinRangeCalls: 1,
      unpinUserPagesCalls: 4,
      dirtyTests: 0,
      dirtyLocks: 0,
    });
    expect([SMALL, FOLIO].map((pfn) => isDirty(memory.memmap, pfn))).toEqual([false, false]);
  });
});

describe('unpin_user_page_range_dirty_lock: one put per folio of a physical range', () => {
  test.each<[string, number, number, number, number]>([
    // first frame, pages, puts, atomics
    ['small pages', SMALL, 16, 16, 16],
    ['a part of a folio', FOLIO + 3, 5, 1, 2],
    ['two folios', FOLIO, 32, 2, 4],
    ['the end of one folio, the start of the next', FOLIO + 10, 12, 2, 4],
    ['two 2 MiB folios', THP, 1024, 2, 4],
    ['one page', THP + 511, 1, 1, 2],
  ])('%s', (_, pfn, npage, puts, atomics) => {
    const memory = pinned();
    unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(pfn), npage, true);
    expect(memory.vmstat.nrFollPinReleased).toBe(npage);
    expect(memory.counters.snapshot()).toMatchObject({
      unpinCalls: 1,
      unpinRangeCalls: 1,
      unpinUserPagesCalls: 0,
      putCalls: puts,
      putAtomics: atomics,
      dirtyTests: puts,
      dirtyLocks: puts,
    });
  });

  test('goes from folios of one size to those of another', () => {
    const memory = boot();
    const { memmap } = memory;
    const sizes = [0, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    let pfn = SECTION + 510;
    for (const order of sizes) {
      memmap.allocFolio(pfn, order, PG.anon);
      tryGrabFolio(memmap, pfn, 2 ** order);
      pfn += 2 ** order;
    }
    unpinUserPageRangeDirtyLock(memory, memmap.pfnToPage(SECTION + 510), pfn - SECTION - 510, true);
    expect(memory.counters.snapshot()).toMatchObject({
      putCalls: sizes.length,
      putAtomics: 2 + 2 * 9,
    });
    expect(
      [...memmap.foliosInUse()].every(({ refcount, pincount }) => refcount === 1 && pincount === 0),
    ).toBe(true);
  });

  test.each(['nth_page', 'page + i'] as const)(
    'a 1 GiB folio over eight sections is one put, %s',
    (step) => {
      for (const model of ['sparsemem-vmemmap', 'sparsemem'] as const) {
        const memory = boot({ ranges: [{ pfn: 2 ** 18, npage: 2 ** 18 }], model, step });
        const { memmap } = memory;
        memmap.allocFolio(2 ** 18, 18, PG.hugetlb);
        tryGrabFolio(memmap, 2 ** 18, 2 ** 18);
        unpinUserPageRangeDirtyLock(memory, memmap.pfnToPage(2 ** 18), 2 ** 18, true);
        expect(folioOf(memmap, 2 ** 18)).toEqual({ order: 18, refcount: 1, pincount: 0 });
        expect(memory.counters.snapshot()).toMatchObject({
          unpinCalls: 1,
          putCalls: 1,
          putAtomics: 2,
        });
      }
    },
  );
});

describe('a range over a section border', () => {
  /** Eight small pages, half in each of two sections, each pinned once. */
  function overBorder(machine: Boot): { memory: Memory; first: number } {
    const memory = boot(machine);
    const first = 2 * SECTION - 4;
    for (const pfn of frames(first, 8)) {
      memory.memmap.allocFolio(pfn, 0, PG.anon);
      tryGrabFolio(memory.memmap, pfn, 1);
    }
    return { memory, first };
  }

  function isUnpinned(memory: Memory, first: number): boolean {
    return frames(first, 8).every((pfn) => folioOf(memory.memmap, pfn).refcount === 1);
  }

  test.each<[string, Boot]>([
    ['nth_page, vmemmap', { step: 'nth_page' }],
    ['page + i, vmemmap', { step: 'page + i' }],
    ['nth_page, classic sparsemem: through the pfn', { step: 'nth_page', model: 'sparsemem' }],
  ])('is unpinned, %s', (_, machine) => {
    const { memory, first } = overBorder(machine);
    unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(first), 8, true);
    expect(isUnpinned(memory, first)).toBe(true);
  });

  test('is not unpinned by 6.18 under classic sparsemem: page + i leaves the memmap of the section', () => {
    const { memory, first } = overBorder({ step: 'page + i', model: 'sparsemem' });
    const { memmap } = memory;
    expect(memmap.pfnToPage(first + 4)).not.toBe(memmap.pfnToPage(first) + 4);
    expect(() => unpinUserPageRangeDirtyLock(memory, memmap.pfnToPage(first), 8, true)).toThrow(
      KernelBug,
    );
    expect(isUnpinned(memory, first)).toBe(false);
  });

  test('makes 6.18 unpin the pages of a stranger whose memmap happens to follow', () => {
    const { memmap, section, next } = adjacentStrangers();
    const memory = new Memory(memmap, RULES['page + i']);
    const first = (section + 1) * SECTION - 4;
    const neighbours = frames(first, 8);
    const strangers = frames(next * SECTION, 4);
    for (const pfn of new Set([...neighbours, ...strangers])) {
      if (!memmap.pfnValid(pfn)) continue;
      memmap.allocFolio(pfn, 0, PG.anon);
      tryGrabFolio(memmap, pfn, 1);
    }
    unpinUserPageRangeDirtyLock(memory, memmap.pfnToPage(first), 8, true);
    const refs = (pfns: readonly number[]): number[] =>
      pfns.map((pfn) => folioOf(memmap, pfn).refcount);
    expect(refs(neighbours.slice(0, 4))).toEqual([1, 1, 1, 1]);
    expect(refs(neighbours.slice(4))).toEqual([1025, 1025, 1025, 1025]);
    expect(refs(strangers)).toEqual([1, 1, 1, 1]);
  });
});

describe('unpinning what holds no pin', () => {
  const ways: [string, (memory: Memory, pfn: number) => void][] = [
    ['unpin_user_page', (memory, pfn) => unpinUserPage(memory, memory.memmap.pfnToPage(pfn))],
    ['unpin_user_pages', (memory, pfn) => unpinUserPages(memory, pagesOf(memory.memmap, [pfn]), 1)],
    [
      'unpin_user_page_range_dirty_lock',
      (memory, pfn) => unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(pfn), 1, true),
    ],
    [
      'unpin_user_pages_dirty_lock, one page',
      (memory, pfn) => unpinUserPagesOneByOne(memory, pfn, 1, true),
    ],
  ];

  test.each(ways)('%s corrupts the kernel', (_, unpin) => {
    for (const pfn of [SMALL, THP + 3]) {
      const memory = pinned();
      const head = memory.memmap.headEntryOf(pfn);
      memory.memmap.refcount[head] = 1;
      memory.memmap.pincount[head] = 0;
      expect(() => unpin(memory, pfn)).toThrow(KernelBug);
    }
  });

  test.each(ways)('%s of a page that is free corrupts the kernel', (_, unpin) => {
    const memory = pinned();
    expect(() => unpin(memory, SECTION + 300)).toThrow(KernelBug);
    expect(() => unpin(memory, 5 * SECTION)).toThrow(KernelBug);
  });

  test('a range or an array of more pages than the folio has pins, too', () => {
    const memory = pinned();
    const { memmap } = memory;
    const head = memmap.headEntryOf(FOLIO);
    memmap.pincount[head] = 15;
    const page = memmap.pfnToPage(FOLIO);
    expect(() => unpinUserPageRangeDirtyLock(memory, page, 16, true)).toThrow(KernelBug);
    expect(() => unpinUserPages(memory, pagesOf(memmap, frames(FOLIO, 16)), 16)).toThrow(KernelBug);
    expect(() => unpinUserPagesOneByOne(memory, FOLIO, 16, true)).toThrow(KernelBug);
  });
});

describe('the last reference', () => {
  test.each<[string, (memory: Memory) => void]>([
    [
      'range',
      (memory) => unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(SMALL), 16, true),
    ],
    ['one by one', (memory) => unpinUserPagesOneByOne(memory, SMALL, 16, true)],
    [
      'array',
      (memory) =>
        unpinUserPagesDirtyLock(memory, pagesOf(memory.memmap, frames(SMALL, 16)), 16, true),
    ],
  ])('frees the small page: %s', (_, unpin) => {
    const memory = pinned();
    const { memmap } = memory;
    for (const pfn of [SMALL + 3, SMALL + 15]) memmap.refcount[memmap.headEntryOf(pfn)]--;
    unpin(memory);
    const small = [...memmap.foliosInUse()]
      .filter(({ order }) => order === 0)
      .map(({ pfn }) => pfn);
    expect(small).toEqual(
      frames(SMALL, 16).filter((pfn) => pfn !== SMALL + 3 && pfn !== SMALL + 15),
    );
    expect(memmap.flags[memmap.entryOf(SMALL + 3)]).toBe(0);
  });

  test.each<[string, (memory: Memory) => void]>([
    [
      'range',
      (memory) => unpinUserPageRangeDirtyLock(memory, memory.memmap.pfnToPage(FOLIO), 32, true),
    ],
    ['one by one', (memory) => unpinUserPagesOneByOne(memory, FOLIO, 32, true)],
    [
      'array',
      (memory) =>
        unpinUserPagesDirtyLock(memory, pagesOf(memory.memmap, frames(FOLIO, 32)), 32, true),
    ],
  ])('frees the large folio: %s', (_, unpin) => {
    const memory = pinned();
    const { memmap } = memory;
    memmap.refcount[memmap.headEntryOf(FOLIO)]--;
    unpin(memory);
    const folios = [...memmap.foliosInUse()]
      .filter(({ order }) => order === 4)
      .map(({ pfn }) => pfn);
    expect(folios).toEqual([FOLIO + 16]);
    expect(memmap.order[memmap.entryOf(FOLIO + 7)]).toBe(0);
  });
});
