import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot, folioOf, SECTION } from '../test/machine.ts';
import {
  dirtyFolioLock,
  folioMaybeDmaPinned,
  folioPutRefs,
  folioRefAdd,
  GUP_PIN_COUNTING_BIAS,
  gupPutFolio,
  tryGrabFolio,
} from './folio.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';

const SMALL = SECTION + 5;
const LARGE = SECTION + 512;

/** A small folio and a large one, each with the one reference of its mapping. */
function twoFolios(): MemMap {
  const { memmap } = boot();
  memmap.allocFolio(SMALL, 0, PG.anon);
  memmap.allocFolio(LARGE, 9, PG.anon);
  return memmap;
}

describe('try_grab_folio', () => {
  test('adds 1024 references per pin of a small folio, in one atomic', () => {
    const memmap = twoFolios();
    expect(tryGrabFolio(memmap, SMALL, 3)).toBe(1);
    expect(folioOf(memmap, SMALL)).toEqual({ order: 0, refcount: 1 + 3 * 1024, pincount: 0 });
  });

  test('adds a reference and a pincount per pin of a large folio, in two atomics, by any page', () => {
    const memmap = twoFolios();
    expect(tryGrabFolio(memmap, LARGE + 511, 512)).toBe(2);
    expect(folioOf(memmap, LARGE)).toEqual({ order: 9, refcount: 513, pincount: 512 });
  });

  test.each([0, -1])('refuses a folio whose reference count is %i', (refcount) => {
    const memmap = twoFolios();
    for (const pfn of [SMALL, LARGE]) {
      memmap.refcount[memmap.headEntryOf(pfn)] = refcount;
      expect(tryGrabFolio(memmap, pfn, 1)).toBe(0);
      expect(folioOf(memmap, pfn)).toMatchObject({ refcount, pincount: 0 });
    }
  });
});

describe('gup_put_folio', () => {
  test('takes back what the grab added', () => {
    const memmap = twoFolios();
    for (const [pfn, atomics] of [
      [SMALL, 1],
      [LARGE, 2],
    ]) {
      const before = folioOf(memmap, pfn);
      tryGrabFolio(memmap, pfn, 7);
      expect(gupPutFolio(memmap, pfn, 7)).toBe(atomics);
      expect(folioOf(memmap, pfn)).toEqual(before);
    }
  });

  test('frees the folio with its last reference', () => {
    const memmap = twoFolios();
    for (const pfn of [SMALL, LARGE]) {
      tryGrabFolio(memmap, pfn, 1);
      memmap.refcount[memmap.headEntryOf(pfn)]--; // the mapping goes, the pin stays
      expect(folioMaybeDmaPinned(memmap, pfn)).toBe(true);
      gupPutFolio(memmap, pfn, 1);
    }
    expect([...memmap.foliosInUse()]).toEqual([]);
    expect(memmap.order[memmap.entryOf(LARGE + 3)]).toBe(0);
  });

  test.each([
    ['a small folio', SMALL],
    ['a large folio', LARGE],
  ])('of more pins than %s holds corrupts the kernel', (_, pfn) => {
    const memmap = twoFolios();
    expect(() => gupPutFolio(memmap, pfn, 1)).toThrow(KernelBug);
    tryGrabFolio(memmap, pfn, 2);
    expect(() => gupPutFolio(memmap, pfn, 3)).toThrow(KernelBug);
    expect(gupPutFolio(memmap, pfn, 2)).toBeGreaterThan(0);
  });

  test('of a large folio does not take plain references for pins', () => {
    const memmap = twoFolios();
    memmap.refcount[memmap.headEntryOf(LARGE)] = 100;
    expect(() => gupPutFolio(memmap, LARGE, 1)).toThrow(KernelBug);
  });
});

describe('folio_maybe_dma_pinned', () => {
  test('is exact for a large folio, however many references it has', () => {
    const memmap = twoFolios();
    memmap.refcount[memmap.headEntryOf(LARGE)] = 10 * GUP_PIN_COUNTING_BIAS;
    expect(folioMaybeDmaPinned(memmap, LARGE)).toBe(false);
    tryGrabFolio(memmap, LARGE, 1);
    expect(folioMaybeDmaPinned(memmap, LARGE + 100)).toBe(true);
  });

  test('takes 1024 plain references of a small folio for a pin', () => {
    const memmap = twoFolios();
    const head = memmap.headEntryOf(SMALL);
    memmap.refcount[head] = 1023;
    expect(folioMaybeDmaPinned(memmap, SMALL)).toBe(false);
    memmap.refcount[head] = 1024;
    expect(folioMaybeDmaPinned(memmap, SMALL)).toBe(true);
  });
});

test('a folio is locked to be marked dirty only while it is clean', () => {
  const memmap = twoFolios();
  const head = memmap.headEntryOf(LARGE);
  expect([dirtyFolioLock(memmap, head), dirtyFolioLock(memmap, head)]).toEqual([1, 0]);
  expect(memmap.flags[head]).toBe(PG.anon | PG.dirty);
});

describe('plain references', () => {
  test.each([
    ['a small folio', SMALL, SMALL],
    ['a large folio, by any page', LARGE, LARGE + 300],
  ])('are counted on the head of %s, and are no pins', (_, head, page) => {
    const memmap = twoFolios();
    folioRefAdd(memmap, page, 7);
    expect(folioOf(memmap, head)).toMatchObject({ refcount: 8, pincount: 0 });
    folioPutRefs(memmap, page, 3);
    expect(folioOf(memmap, head)).toMatchObject({ refcount: 5, pincount: 0 });
  });

  test('free the folio with the last one, the pages with it', () => {
    const memmap = twoFolios();
    const freed: number[][] = [];
    memmap.folioFreed = (pfn, order, flags) => freed.push([pfn, order, flags]);
    folioPutRefs(memmap, LARGE + 5, 1);
    expect([...memmap.foliosInUse()].map(({ pfn }) => pfn)).toEqual([SMALL]);
    folioPutRefs(memmap, SMALL, 1);
    expect([...memmap.foliosInUse()]).toEqual([]);
    expect(freed).toEqual([
      [LARGE, 9, PG.anon],
      [SMALL, 0, PG.anon],
    ]);
    expect(memmap.allocFolio(LARGE, 0, 0)).toBe(memmap.headEntryOf(LARGE));
  });

  test('that are more than there are corrupt the kernel', () => {
    const memmap = twoFolios();
    expect(() => folioPutRefs(memmap, LARGE, 2)).toThrow(KernelBug);
    expect(folioOf(memmap, LARGE)).toMatchObject({ refcount: 1 });
  });
});
