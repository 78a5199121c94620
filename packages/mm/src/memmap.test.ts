import { InputError, KernelBug, ModelBug, X86_64 } from '@pinfold/base';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { folioOf, MODELS, SECTION, boot } from '../test/machine.ts';
import { MemMap } from './memmap.ts';
import { PageStateArrays, PG } from './page-state.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

/** Memory with a section-sized hole (section 3) and edges inside sections. */
const HOLED = [
  { pfn: SECTION + 100, npage: SECTION }, // the end of section 1, the start of section 2
  { pfn: 2 * SECTION + 500, npage: 200 }, // further on in section 2
  { pfn: 4 * SECTION, npage: SECTION }, // all of section 4
];

/** Everything in pages of one machine: for each pfn of a list, the answer of a function. */
function ask<T>(pfns: readonly number[], answer: (pfn: number) => T): T[] {
  return pfns.map(answer);
}

test('a section is 128 MiB', () => {
  expect(X86_64.sectionPages * 4096).toBe(128 * 2 ** 20);
  expect(2 ** X86_64.sectionOrder).toBe(X86_64.sectionPages);
});

describe.each(MODELS)('memory with holes, %s', (model) => {
  const memmap = new MemMap(HOLED, model);

  test('a section is valid as a whole, a hole and the space outside are not', () => {
    const pfns = [0, SECTION - 1, SECTION, 2 * SECTION - 1, 3 * SECTION - 1];
    expect(ask(pfns, (pfn) => memmap.pfnValid(pfn))).toEqual([false, false, true, true, true]);
    const later = [
      3 * SECTION,
      4 * SECTION - 1,
      4 * SECTION,
      5 * SECTION - 1,
      5 * SECTION,
      2 ** 36,
    ];
    expect(ask(later, (pfn) => memmap.pfnValid(pfn))).toEqual([
      false,
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  test('pages of a valid section outside every range are PG_reserved', () => {
    const edges = [
      [SECTION, true],
      [SECTION + 99, true],
      [SECTION + 100, false],
      [2 * SECTION + 99, false],
      [2 * SECTION + 100, true],
      [2 * SECTION + 499, true],
      [2 * SECTION + 500, false],
      [2 * SECTION + 699, false],
      [2 * SECTION + 700, true],
      [3 * SECTION - 1, true],
      [4 * SECTION, false],
      [5 * SECTION - 1, false],
    ] as const;
    for (const [pfn, reserved] of edges)
      expect([pfn, memmap.pageReserved(pfn)]).toEqual([pfn, reserved]);
  });

  test('pfn_to_page and page_to_pfn are inverse, and no struct page is NULL', () => {
    const pages = new Set<number>();
    for (const section of [1, 2, 4]) {
      for (const offset of [0, 1, 511, SECTION - 1]) {
        const pfn = section * SECTION + offset;
        const page = memmap.pfnToPage(pfn);
        expect(page).toBeGreaterThan(0);
        expect(memmap.pageToPfn(page)).toBe(pfn);
        pages.add(page);
      }
    }
    expect(pages.size).toBe(12);
  });

  test('inside a section neighbours in pfn are neighbours in page', () => {
    for (const section of [1, 2, 4]) {
      const first = memmap.pfnToPage(section * SECTION);
      expect(memmap.pfnToPage(section * SECTION + SECTION - 1)).toBe(first + SECTION - 1);
    }
  });
});

describe('sparsemem-vmemmap', () => {
  const memmap = new MemMap(HOLED);

  test('is the default, one array for all pfns', () => {
    expect(memmap.model).toBe('sparsemem-vmemmap');
    expect(memmap.pfnToPage(4 * SECTION) - memmap.pfnToPage(2 * SECTION)).toBe(2 * SECTION);
  });

  test('keeps no section number in the page flags', () => {
    const sections = [1, 2, 4].map((s) => memmap.sectionOfPage(memmap.pfnToPage(s * SECTION)));
    expect(sections).toEqual([0, 0, 0]);
  });
});

describe('classic sparsemem', () => {
  const SECTIONS = 24;
  const bigger = (seed: number): MemMap =>
    new MemMap([{ pfn: 0, npage: SECTIONS * SECTION }], 'sparsemem', seed);
  const starts = (memmap: MemMap): number[] =>
    Array.from({ length: SECTIONS }, (_, section) => memmap.pfnToPage(section * SECTION));

  test('every section has an array of its own, that overlaps no other', () => {
    const sorted = starts(bigger(0)).sort((a, b) => a - b);
    for (let i = 1; i < SECTIONS; i++)
      expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(SECTION);
  });

  test('the section number is in the page flags', () => {
    const memmap = bigger(0);
    for (let section = 0; section < SECTIONS; section++) {
      expect(memmap.sectionOfPage(memmap.pfnToPage(section * SECTION + 77))).toBe(section);
    }
  });

  test('arrays of neighbouring sections can be apart, and those of strangers adjacent', () => {
    let neighboursApart = 0;
    let strangersAdjacent = 0;
    for (let seed = 0; seed < 8; seed++) {
      const at = starts(bigger(seed));
      for (let section = 0; section < SECTIONS; section++) {
        const after = at.indexOf(at[section] + SECTION);
        if (section + 1 < SECTIONS && after !== section + 1) neighboursApart++;
        if (after >= 0 && after !== section + 1) strangersAdjacent++;
      }
    }
    expect(neighboursApart).toBeGreaterThan(0);
    expect(strangersAdjacent).toBeGreaterThan(0);
  });

  test('the seed alone decides where they lie', () => {
    expect(starts(bigger(7))).toEqual(starts(bigger(7)));
    expect(starts(bigger(8))).not.toEqual(starts(bigger(7)));
  });

  test('a pfn without memory map has no page', () => {
    const memmap = new MemMap(HOLED, 'sparsemem');
    for (const pfn of [0, 3 * SECTION, 5 * SECTION, 2 ** 36]) {
      expect(() => memmap.pfnToPage(pfn)).toThrow(KernelBug);
    }
  });

  test('a page that lies in no memmap has no pfn', () => {
    const memmap = new MemMap(HOLED, 'sparsemem');
    const present = [1, 2, 4].map((section) => memmap.pfnToPage(section * SECTION));
    const gap = Array.from({ length: 12 }, (_, slot) => slot * SECTION).find(
      (page) => !present.includes(page),
    );
    for (const page of [gap ?? NaN, 0, 2 ** 44]) {
      expect(() => memmap.pageToPfn(page)).toThrow(KernelBug);
    }
  });
});

describe('memory ranges that make no sense', () => {
  test.each([
    ['empty', [{ pfn: 5, npage: 0 }], 'memory range at pfn 5: expected at least one page'],
    ['negative', [{ pfn: 5, npage: -1 }], 'memory range at pfn 5: expected at least one page'],
    [
      'overlapping',
      [
        { pfn: 10, npage: 10 },
        { pfn: 0, npage: 11 },
      ],
      'memory range at pfn 10: expected ranges that do not overlap',
    ],
    ['above 52 address bits', [{ pfn: 2 ** 40 - 1, npage: 2 }], 'expected memory below 2^52 bytes'],
  ])('%s', (_, ranges, message) => {
    expect(() => new MemMap(ranges)).toThrow(InputError);
    expect(() => new MemMap(ranges)).toThrow(message);
  });

  test('ranges may touch and come in any order', () => {
    const memmap = new MemMap([
      { pfn: SECTION + 10, npage: 10 },
      { pfn: SECTION, npage: 10 },
    ]);
    expect(ask([SECTION, SECTION + 19, SECTION + 20], (pfn) => memmap.pageReserved(pfn))).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe('zones', () => {
  const memmap = new MemMap([
    { pfn: SECTION, npage: SECTION },
    { pfn: 2 * SECTION, npage: 2 * SECTION, zone: 'movable' },
  ]);

  test('pages of ZONE_MOVABLE must not be pinned for long', () => {
    const pfns = [SECTION, 2 * SECTION - 1, 2 * SECTION, 4 * SECTION - 1];
    expect(ask(pfns, (pfn) => memmap.longtermPinnable(pfn))).toEqual([true, true, false, false]);
  });
});

describe('folios', () => {
  test('a new folio has one reference, its order and its flags, seen from each of its pages', () => {
    const { memmap } = boot();
    const pfn = SECTION + 512;
    const head = memmap.allocFolio(pfn, 9, PG.anon);
    expect([memmap.refcount[head], memmap.pincount[head]]).toEqual([1, 0]);
    for (const page of [pfn, pfn + 1, pfn + 511]) {
      expect(memmap.headEntryOf(page)).toBe(head);
      expect(memmap.order[memmap.entryOf(page)]).toBe(9);
    }
    expect(memmap.flags[head]).toBe(PG.anon);
    expect(memmap.refcount[memmap.headEntryOf(pfn + 512)]).toBe(0);
  });

  test('a 1 GiB folio keeps its counts in the entry of its head page, eight sections away', () => {
    const { memmap } = boot({ ranges: [{ pfn: 2 ** 18, npage: 2 ** 19 }] });
    const head = memmap.allocFolio(2 ** 18, 18, PG.hugetlb);
    memmap.pincount[head] = 5;
    for (const page of [0, 1, SECTION, 5 * SECTION + 3, 2 ** 18 - 1]) {
      expect(memmap.headEntryOf(2 ** 18 + page)).toBe(head);
    }
    expect(memmap.headEntryOf(2 ** 19)).not.toBe(head);
    expect([...memmap.foliosInUse()]).toEqual([
      { pfn: 2 ** 18, order: 18, refcount: 1, pincount: 5, flags: PG.hugetlb },
    ]);
  });

  test.each([0, 4, 9, 15, 18])('a freed folio of order %i leaves free pages behind', (order) => {
    const { memmap } = boot({ ranges: [{ pfn: 2 ** 18, npage: 2 ** 18 }] });
    const pfn = 2 ** 18;
    memmap.allocFolio(pfn, order, PG.anon | PG.dirty);
    memmap.freeFolio(pfn + 2 ** order - 1);
    expect([...memmap.foliosInUse()]).toEqual([]);
    memmap.allocFolio(pfn + 2 ** order - 1, 0, PG.anon);
    expect([...memmap.foliosInUse()]).toMatchObject([{ pfn: pfn + 2 ** order - 1, order: 0 }]);
  });

  test('foliosInUse lists every head with references, in pfn order', () => {
    const { memmap } = boot();
    memmap.allocFolio(5 * SECTION, 9, PG.anon);
    memmap.allocFolio(SECTION + 7, 0, PG.anon);
    memmap.allocFolio(SECTION + 1024, 4, PG.hugetlb);
    const heads = [...memmap.foliosInUse()].map(({ pfn, order }) => [pfn, order]);
    expect(heads).toEqual([
      [SECTION + 7, 0],
      [SECTION + 1024, 4],
      [5 * SECTION, 9],
    ]);
  });

  test('a head must be aligned to its order', () => {
    const { memmap } = boot();
    expect(() => memmap.allocFolio(SECTION + 8, 4, PG.anon)).toThrow(ModelBug);
  });

  test.each([
    ['without memory map', (memmap: MemMap) => memmap.allocFolio(0, 0, PG.anon)],
    ['beyond the end', (memmap: MemMap) => memmap.allocFolio(9 * SECTION, 0, PG.anon)],
    ['inside a large folio', (memmap: MemMap) => memmap.allocFolio(SECTION + 513, 0, PG.anon)],
    ['around a small folio', (memmap: MemMap) => memmap.allocFolio(SECTION + 1024, 9, PG.anon)],
    ['that are reserved', (memmap: MemMap) => memmap.allocFolio(SECTION + 2048, 9, PG.anon)],
  ])('pages %s are not made a folio', (_, alloc) => {
    const { memmap } = boot();
    memmap.allocFolio(SECTION + 512, 9, PG.anon);
    memmap.allocFolio(SECTION + 1030, 0, PG.anon);
    memmap.reservePages(SECTION + 2048 + 511, 1);
    expect(() => alloc(memmap)).toThrow(InputError);
  });
});

describe('state in strides', () => {
  const entries = (memmap: MemMap, section: number): number =>
    X86_64.sectionPages >>> memmap.sectionStride[section];

  test('an untouched section has no state', () => {
    const { memmap } = boot();
    expect(memmap.sectionBase[1]).toBeLessThan(0);
    expect(memmap.pageReserved(SECTION)).toBe(false);
  });

  test.each([
    [0, 32_768],
    [4, 2048],
    [9, 64],
    [15, 1],
  ])('a section whose first folio has order %i gets %i entries', (order, count) => {
    const { memmap } = boot();
    memmap.allocFolio(SECTION, order, PG.anon);
    expect(entries(memmap, 1)).toBe(count);
    expect(memmap.strideOf(SECTION + 5)).toBe(order);
  });

  test('a smaller folio makes the section finer and changes no other page', () => {
    const { memmap } = boot();
    for (let i = 0; i < 64; i += 2) {
      const head = memmap.allocFolio(SECTION + i * 512, 9, i % 4 === 0 ? PG.anon : PG.hugetlb);
      memmap.refcount[head] = 10 + i;
      memmap.pincount[head] = i;
    }
    const before = [...memmap.foliosInUse()];
    memmap.allocFolio(SECTION + 512, 0, PG.anon);
    expect(entries(memmap, 1)).toBe(32_768);
    const after = [...memmap.foliosInUse()];
    expect(after.filter(({ order }) => order === 9)).toEqual(before);
    expect(after.filter(({ order }) => order === 0)).toMatchObject([{ pfn: SECTION + 512 }]);
    for (let page = 0; page < 512; page += 73) {
      expect(folioOf(memmap, SECTION + 2 * 512 + page)).toMatchObject({
        order: 9,
        refcount: 12,
      });
    }
  });

  test('a block that was given up serves the next section of that stride', () => {
    const { memmap } = boot();
    memmap.allocFolio(SECTION, 9, PG.anon);
    memmap.allocFolio(SECTION + 512, 0, PG.anon);
    const { length } = memmap.refcount;
    memmap.allocFolio(2 * SECTION, 9, PG.hugetlb);
    expect(memmap.refcount.length).toBe(length);
    expect([...memmap.foliosInUse()].map(({ pfn }) => pfn)).toEqual([
      SECTION,
      SECTION + 512,
      2 * SECTION,
    ]);
  });

  test('reserving a page makes the section finer, and only that page reserved', () => {
    const { memmap } = boot();
    memmap.allocFolio(SECTION, 9, PG.anon);
    memmap.reservePages(SECTION + 600, 2);
    const pfns = [SECTION, SECTION + 599, SECTION + 600, SECTION + 601, SECTION + 602];
    expect(ask(pfns, (pfn) => memmap.pageReserved(pfn))).toEqual([false, false, true, true, false]);
  });

  test('reserveState makes the room at once', () => {
    const { memmap } = boot();
    memmap.reserveState(4 * SECTION, 0);
    const { refcount, flags } = memmap;
    for (let section = 1; section <= 4; section++) memmap.allocFolio(section * SECTION, 0, PG.anon);
    expect(memmap.refcount).toBe(refcount);
    expect(memmap.flags).toBe(flags);
  });
});

describe('invalidOrReservedRun', () => {
  const memmap = new MemMap(HOLED);
  const ram = SECTION + 100;

  test.each([
    ['memory up to a reserved page', ram, 2 * SECTION, false, SECTION],
    ['memory as far as asked', ram, 10, false, 10],
    ['no memory at a reserved page', SECTION, 10, false, 0],
    ['reserved pages up to memory', SECTION, 1000, true, 100],
    ['pages without memory map up to memory', 3 * SECTION + 5, 2 * SECTION, true, SECTION - 5],
    ['reserved pages and then pages without memory map', 3 * SECTION - 7, 20, true, 20],
    ['device memory far above', 2 ** 36, 2 ** 20, true, 2 ** 20],
    ['no reserved page in memory', ram, 10, true, 0],
  ])('finds %s', (_, pfn, npage, wanted, run) => {
    expect(memmap.invalidOrReservedRun(pfn, npage, wanted)).toBe(run);
  });
});

// 16 TiB are 2^32 pages; 2^36 pages are 256 TiB.
describe.each([2 ** 32, 2 ** 36])('memory around pfn %i', (border) => {
  test.each(MODELS)('has pages and folios there, %s', (model) => {
    const memmap = new MemMap([{ pfn: border - SECTION, npage: 9 * SECTION }], model);
    for (const pfn of [border - SECTION, border - 1, border, border + 8 * SECTION - 1]) {
      expect(memmap.pfnValid(pfn)).toBe(true);
      expect(memmap.pageToPfn(memmap.pfnToPage(pfn))).toBe(pfn);
    }
    expect(
      ask([border - SECTION - 1, border + 8 * SECTION], (pfn) => memmap.pfnValid(pfn)),
    ).toEqual([false, false]);
    memmap.allocFolio(border - 512, 9, PG.anon);
    memmap.allocFolio(border, 18, PG.hugetlb);
    expect(memmap.headEntryOf(border + 2 ** 18 - 1)).toBe(memmap.entryOf(border));
    expect([...memmap.foliosInUse()].map(({ pfn, order }) => [pfn, order])).toEqual([
      [border - 512, 9],
      [border, 18],
    ]);
  });
});

describe('arrays that serve one machine after the other', () => {
  const whole = [{ pfn: 0, npage: 4 * SECTION }];

  /** Folios, some of which stay; a small one in a section of large ones makes its state anew. */
  function use(arrays: PageStateArrays, folios: readonly [pfn: number, order: number][]): void {
    const memmap = new MemMap(HOLED, 'sparsemem-vmemmap', 0, arrays);
    for (const [at, order] of folios) {
      const pfn = 4 * SECTION + (at << order);
      if (at << order >= SECTION || memmap.order[memmap.headEntryOf(pfn)] > 0) continue;
      if (memmap.refcount[memmap.headEntryOf(pfn)] > 0) continue;
      try {
        memmap.pincount[memmap.allocFolio(pfn, order, PG.anon)] = 1;
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
      if (at % 3 === 0) memmap.freeFolio(pfn);
    }
  }

  test('have nothing left of the one before', () => {
    const folio = fc.tuple(fc.nat(2 ** 10), fc.constantFrom(0, 0, 2, 4, 9, 15));
    fc.assert(
      fc.property(fc.array(folio, { maxLength: 60, size: 'max' }), (folios) => {
        const arrays = new PageStateArrays();
        use(arrays, folios);
        const next = new MemMap(whole, 'sparsemem-vmemmap', 0, arrays);
        for (const field of [next.refcount, next.pincount, next.flags, next.order]) {
          expect(field.every((value) => value === 0)).toBe(true);
        }
      }),
      { seed: SEED + 18 },
    );
  });

  test('also not after more folios than are kept apart', () => {
    const arrays = new PageStateArrays();
    use(
      arrays,
      Array.from({ length: 10_000 }, (_, i) => [3 * i + 1, 0]),
    );
    expect(arrays.refcount.some((count) => count > 0)).toBe(true);
    arrays.clear();
    expect(arrays.refcount.some((count) => count > 0)).toBe(false);
  });
});
