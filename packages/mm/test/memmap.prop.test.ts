// The page state, kept per folio in strides, against a plain list of folios.
import type { PageGeometry } from '@pinfold/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemMap } from '../src/memmap.ts';
import { PG } from '../src/page-state.ts';
import { GEOMETRIES, MODELS, runsOn } from './machine.ts';

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

/** Random steps on a machine: a place is mostly in two sections, near folio borders. */
function stepsOn({ sectionPages, pmdOrder, sectionOrder, hugetlbOrders }: PageGeometry) {
  const blocks = sectionPages >>> pmdOrder;
  const pmd = 2 ** pmdOrder;
  const pfn = fc
    .record({
      section: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(0, 1) },
        { weight: 1, arbitrary: fc.nat({ max: SECTIONS - 1 }) },
      ),
      block: fc.oneof(
        fc.nat({ max: Math.min(3, blocks - 1) }),
        fc.integer({ min: Math.max(0, blocks - 4), max: blocks - 1 }),
      ),
      page: fc.oneof(fc.nat({ max: 20 }), fc.integer({ min: pmd - 12, max: pmd - 1 })),
    })
    .map(({ section, block, page }) => START + section * sectionPages + block * pmd + page);
  const orders = [
    0,
    0,
    1,
    4,
    pmdOrder,
    pmdOrder,
    pmdOrder + 1,
    sectionOrder,
    Math.max(...hugetlbOrders),
  ];
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ alloc: pfn, order: fc.constantFrom(...orders) }) },
    { weight: 2, arbitrary: fc.record({ free: pfn }) },
    {
      weight: 3,
      arbitrary: fc.record({ count: pfn, refs: fc.nat({ max: 5000 }), pins: fc.nat({ max: 99 }) }),
    },
    { weight: 1, arbitrary: fc.record({ reserve: pfn }) },
  );
}
type Step = ReturnType<typeof stepsOn> extends fc.Arbitrary<infer T> ? T : never;

/** A multiple of all folio sizes, so that two of the largest fit, aligned. */
const START = 2 ** 19;
/** Sections of the machine. */
const SECTIONS = 64;

/** The plain model: a list of folios, and a set of reserved pages. */
class PlainMap {
  readonly folios = new Set<PlainFolio>();
  readonly reserved = new Set<number>();
  readonly #npage: number;

  constructor(npage: number) {
    this.#npage = npage;
  }

  folioAt(page: number): PlainFolio | undefined {
    return [...this.folios].find(
      ({ pfn: head, order }) => page >= head && page < head + 2 ** order,
    );
  }

  isFree(from: number, order: number): boolean {
    const end = from + 2 ** order;
    if (from < START || end > START + this.#npage) return false;
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

/** Both memory models, on every geometry. */
const MACHINES = GEOMETRIES.flatMap((geometry) => MODELS.map((model) => ({ geometry, model })));

test.each(MACHINES)(
  'state in strides is the state of every page, $geometry.name, $model',
  ({ geometry, model }) => {
    const npage = SECTIONS * geometry.sectionPages;
    fc.assert(
      fc.property(fc.array(stepsOn(geometry), { maxLength: 40, size: 'max' }), (steps) => {
        const memmap = new MemMap([{ pfn: START, npage }], model, 0, undefined, geometry);
        const plain = new PlainMap(npage);
        for (const what of steps) run(memmap, plain, what);
        const touched = steps.map((what) => Object.values(what)[0]);
        compare(memmap, plain, touched);
      }),
      { seed: SEED + 6, numRuns: runsOn(geometry, 150) },
    );
  },
);

test.each(GEOMETRIES)('invalidOrReservedRun is one test per page, $name', (geometry) => {
  const SECTION = geometry.sectionPages;
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
        const memmap = new MemMap(
          [
            { pfn: SECTION, npage: 2 * SECTION },
            { pfn: 4 * SECTION, npage: SECTION },
          ],
          undefined,
          0,
          undefined,
          geometry,
        );
        memmap.allocFolio(2 * SECTION + 5, 0, PG.anon);
        memmap.allocFolio(4 * SECTION, geometry.pmdOrder, PG.anon);
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
    { seed: SEED + 7, numRuns: runsOn(geometry, 500) },
  );
});
