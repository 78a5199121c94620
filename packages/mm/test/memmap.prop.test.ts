// The page state, kept per folio in strides, against a plain list of folios.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemMap, type MemoryModel } from '../src/memmap.ts';
import { PG } from '../src/page-state.ts';
import { MODELS, SECTION } from './machine.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

/** What the plain model knows of a folio. */
interface PlainFolio {
  pfn: number;
  order: number;
  refcount: number;
  pincount: number;
  flags: number;
}

/** Sections 8 to 23, so that two 1 GiB folios fit, aligned. */
const START = 8 * SECTION;
const NPAGE = 16 * SECTION;

/** A place: mostly in two sections, near folio borders, so that steps meet each other. */
const pfn = fc
  .record({
    section: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(8, 9) },
      { weight: 1, arbitrary: fc.integer({ min: 8, max: 23 }) },
    ),
    block: fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: 60, max: 63 })),
    page: fc.oneof(fc.nat({ max: 20 }), fc.integer({ min: 500, max: 511 })),
  })
  .map(({ section, block, page }) => section * SECTION + block * 512 + page);

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ alloc: pfn, order: fc.constantFrom(0, 0, 1, 4, 9, 9, 10, 15, 18) }),
  },
  { weight: 2, arbitrary: fc.record({ free: pfn }) },
  {
    weight: 3,
    arbitrary: fc.record({ count: pfn, refs: fc.nat({ max: 5000 }), pins: fc.nat({ max: 99 }) }),
  },
  { weight: 1, arbitrary: fc.record({ reserve: pfn }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The plain model: a list of folios, and a set of reserved pages. */
class PlainMap {
  readonly folios = new Set<PlainFolio>();
  readonly reserved = new Set<number>();

  folioAt(page: number): PlainFolio | undefined {
    return [...this.folios].find(
      ({ pfn: head, order }) => page >= head && page < head + 2 ** order,
    );
  }

  isFree(from: number, order: number): boolean {
    const end = from + 2 ** order;
    if (from < START || end > START + NPAGE) return false;
    const taken = [...this.folios].some(
      (folio) => folio.pfn < end && folio.pfn + 2 ** folio.order > from,
    );
    return !taken && [...this.reserved].every((page) => page < from || page >= end);
  }
}

function run(memmap: MemMap, plain: PlainMap, what: Step): void {
  if ('alloc' in what) {
    const { order } = what;
    const head = what.alloc - (what.alloc % 2 ** order);
    if (!plain.isFree(head, order)) return;
    const flags = order % 2 === 0 ? PG.anon : PG.hugetlb;
    memmap.allocFolio(head, order, flags);
    plain.folios.add({ pfn: head, order, refcount: 1, pincount: 0, flags });
  } else if ('free' in what) {
    const folio = plain.folioAt(what.free);
    if (!folio) return;
    memmap.freeFolio(what.free);
    plain.folios.delete(folio);
  } else if ('count' in what) {
    const folio = plain.folioAt(what.count);
    if (!folio) return;
    const entry = memmap.headEntryOf(what.count);
    memmap.refcount[entry] += what.refs;
    memmap.pincount[entry] += what.pins;
    folio.refcount += what.refs;
    folio.pincount += what.pins;
  } else if (plain.isFree(what.reserve, 0)) {
    memmap.reservePages(what.reserve, 1);
    plain.reserved.add(what.reserve);
  }
}

function compare(memmap: MemMap, plain: PlainMap, touched: readonly number[]): void {
  const folios = [...plain.folios].sort((a, b) => a.pfn - b.pfn);
  expect([...memmap.foliosInUse()]).toEqual(folios);
  expect(memmap.folios).toBe(folios.length);
  for (const page of touched) {
    const folio = plain.folioAt(page);
    const entry = memmap.headEntryOf(page);
    const counts = [memmap.order[entry], memmap.refcount[entry], memmap.pincount[entry]];
    expect(counts).toEqual(folio ? [folio.order, folio.refcount, folio.pincount] : [0, 0, 0]);
    expect(memmap.pageReserved(page)).toBe(plain.reserved.has(page));
  }
}

test.each(MODELS)('state in strides is the state of every page, %s', (model: MemoryModel) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const memmap = new MemMap([{ pfn: START, npage: NPAGE }], model);
      const plain = new PlainMap();
      for (const what of steps) run(memmap, plain, what);
      const touched = steps.map((what) => Object.values(what)[0]);
      compare(memmap, plain, touched);
    }),
    { seed: SEED + 6, numRuns: 150 },
  );
});

test('invalidOrReservedRun is one test per page', () => {
  const around = fc
    .record({ section: fc.integer({ min: 0, max: 6 }), page: fc.integer({ min: -40, max: 40 }) })
    .map(({ section, page }) => Math.max(0, section * SECTION + page));
  const reserved = fc.array(fc.record({ at: around, npage: fc.integer({ min: 1, max: 9 }) }), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(
      reserved,
      around,
      fc.integer({ min: 1, max: 100 }),
      fc.boolean(),
      (marks, at, npage, wanted) => {
        // Sections 1, 2 and 4 have memory; 2 was touched by small folios, 4 by large ones.
        const memmap = new MemMap([
          { pfn: SECTION, npage: 2 * SECTION },
          { pfn: 4 * SECTION, npage: SECTION },
        ]);
        memmap.allocFolio(2 * SECTION + 5, 0, PG.anon);
        memmap.allocFolio(4 * SECTION, 9, PG.anon);
        for (const mark of marks) {
          for (let page = mark.at; page < mark.at + mark.npage; page++) {
            if (memmap.pfnValid(page)) memmap.reservePages(page, 1);
          }
        }
        let run = 0;
        const isReserved = (page: number): boolean =>
          !memmap.pfnValid(page) || memmap.pageReserved(page);
        while (run < npage && isReserved(at + run) === wanted) run++;
        expect(memmap.invalidOrReservedRun(at, npage, wanted)).toBe(run);
      },
    ),
    { seed: SEED + 7, numRuns: 500 },
  );
});
