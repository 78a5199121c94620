// The contiguity helpers against their definitions in the kernel, page by page.
import type { PageGeometry } from '@pinfold/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  consecutiveRun,
  nthPage,
  numPagesContiguous,
  numPfnsContiguous,
  pageRangeContiguous,
} from '../src/contiguity.ts';
import { MemMap, type MemoryModel } from '../src/memmap.ts';
import { GEOMETRIES, MODELS, runsOn } from './machine.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const SECTIONS = 10;

/** Machines with a hole at section 4. */
function machineOn(geometry: PageGeometry): fc.Arbitrary<MemMap> {
  const { sectionPages: section } = geometry;
  const ranges = [
    { pfn: 0, npage: 4 * section },
    { pfn: 5 * section, npage: 5 * section },
  ];
  return fc
    .record({ model: fc.constantFrom<MemoryModel>(...MODELS), seed: fc.nat({ max: 40 }) })
    .map(({ model, seed }) => new MemMap(ranges, model, seed, undefined, geometry));
}

/** Runs of frames near section borders; a stranger's section often follows. */
const runs = fc.array(
  fc.record({
    section: fc.constantFrom(0, 1, 2, 3, 5, 6, 7, 8),
    from: fc.integer({ min: -6, max: 6 }),
    npage: fc.integer({ min: 1, max: 9 }),
  }),
  { minLength: 1, maxLength: 6 },
);

/** The frames of runs that have a memory map. */
function framesOf(
  memmap: MemMap,
  spec: typeof runs extends fc.Arbitrary<infer T> ? T : never,
): number[] {
  return spec
    .flatMap(({ section, from, npage }) =>
      Array.from({ length: npage }, (_, i) => section * memmap.sectionPages + from + i),
    )
    .filter((pfn) => pfn >= 0 && pfn < SECTIONS * memmap.sectionPages && memmap.pfnValid(pfn));
}

test.each(GEOMETRIES)('num_pages_contiguous and the compare of pfns, $name', (geometry) => {
  fc.assert(
    fc.property(machineOn(geometry), runs, (memmap, spec) => {
      const pfns = framesOf(memmap, spec);
      const pages = Float64Array.from(pfns, (pfn) => memmap.pfnToPage(pfn));
      for (let offset = 0; offset < pfns.length; offset++) {
        const nr = pfns.length - offset;
        const page = (i: number): number => pages[offset + i];
        const section = memmap.sectionOfPage(page(0));
        let run = 1;
        while (
          run < nr &&
          page(run) === page(run - 1) + 1 &&
          memmap.sectionOfPage(page(run)) === section
        )
          run++;
        expect(numPagesContiguous(memmap, pages, offset, nr)).toBe(run);
        let pointers = 1;
        while (pointers < nr && page(pointers) === page(pointers - 1) + 1) pointers++;
        expect(consecutiveRun(pages, offset, pages.length)).toBe(pointers);
        let same = 0;
        while (same < nr && pfns[offset + same] === pfns[offset] + same) same++;
        expect(numPfnsContiguous(memmap, pages, offset, nr, pfns[offset])).toBe(same);
      }
    }),
    { seed: SEED + 8, numRuns: runsOn(geometry, 400) },
  );
});

test.each(GEOMETRIES)('nth_page and page_range_contiguous, $name', (geometry) => {
  const SECTION = geometry.sectionPages;
  const place = fc.record({
    section: fc.nat({ max: SECTIONS - 1 }),
    page: fc.nat({ max: 4 }),
    end: fc.boolean(),
  });
  fc.assert(
    fc.property(
      machineOn(geometry),
      place,
      fc.nat({ max: 3 * SECTION }),
      (memmap, { section, page, end }, n) => {
        const pfn = section * SECTION + (end ? SECTION - 1 - page : page);
        const last = pfn + n;
        fc.pre(memmap.pfnValid(pfn) && memmap.pfnValid(last));
        const first = memmap.pfnToPage(pfn);
        expect(memmap.pageToPfn(nthPage(memmap, first, n))).toBe(last);
        // Every section in between is looked at, so a hole on the way is a break as well.
        const borders = Array.from({ length: SECTIONS }, (_, s) => s * SECTION).filter(
          (at) => at > pfn && at <= last,
        );
        const contiguous = borders.every(
          (at) =>
            memmap.model === 'sparsemem-vmemmap' ||
            (memmap.pfnValid(at) && memmap.pfnToPage(at) === first + (at - pfn)),
        );
        expect(pageRangeContiguous(memmap, first, n + 1)).toBe(contiguous);
      },
    ),
    { seed: SEED + 9, numRuns: runsOn(geometry, 400) },
  );
});
