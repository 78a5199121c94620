/**
 * Random processes: address spaces packed with every kind of memory that DMA mapping meets, on a
 * machine with section borders, holes, reserved pages and movable memory.
 *
 * A world is plain data; `buildWorld` makes the machine of it, and an independent description of
 * every page (`WorldPages`), which the expectations of the properties are made of.
 */
import { X86_64 } from '@pinfold/base';
import fc from 'fast-check';
import {
  FrameRun,
  MemMap,
  Memory,
  mmapMemory,
  mmapPfnmap,
  MmStruct,
  type FrameSource,
  type MemoryKind,
  type MemoryModel,
  type MmRules,
  type Prot,
} from '@pinfold/mm';
import { WorldPages } from './world-pages.ts';

/** The machine of a world. */
export interface BuiltWorld {
  readonly memory: Memory;
  readonly mm: MmStruct;
  /** Every page that is mapped, by virtual page. */
  readonly pages: WorldPages;
  /** First virtual page of each region, and the first after all of them. */
  readonly borders: readonly number[];
}

/** Sections 16 to 31: 2 GiB, for 1 GiB folios. */
const GIB = 2 ** 18;
/** Section 9 is movable. */
const MOVABLE = 9;
const SECTION = X86_64.sectionPages;
/** The first 1000 pages of section 8 are reserved. */
const RESERVED = 8 * SECTION;
/** Device memory, far above all memory; a multiple of 1 GiB. */
const BAR = 2 ** 26;

/** Sections 1 to 6, 8 (not all of it), 9, 10, 11, and 16 to 31. */
const RANGES = [
  { pfn: SECTION, npage: 6 * SECTION },
  { pfn: RESERVED + 1000, npage: 20_000 },
  { pfn: MOVABLE * SECTION, npage: SECTION, zone: 'movable' as const },
  { pfn: 10 * SECTION, npage: 2 * SECTION },
  { pfn: 16 * SECTION, npage: 16 * SECTION },
];

const RW: Prot = { read: true, write: true };
const RO: Prot = { read: true, write: false };
const prot = fc.oneof(
  { weight: 16, arbitrary: fc.constant(RW) },
  { weight: 2, arbitrary: fc.constant(RO) },
  { weight: 1, arbitrary: fc.constant<Prot>({ read: false, write: true }) },
  { weight: 1, arbitrary: fc.constant<Prot>({ read: false, write: false }) },
);
const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });

/** A region of the address space. */
const region = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('small pages'),
      npage: upTo(60),
      pattern: fc.constantFrom('run', 'swapped', 'reversed', 'every other'),
      prot,
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('slices of folios'),
      order: fc.integer({ min: 2, max: 8 }),
      folios: upTo(3),
      skip: fc.nat({ max: 7 }),
      drop: fc.nat({ max: 7 }),
      swapped: fc.boolean(),
      prot,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('a slice of a folio mapped before'),
      which: fc.nat(),
      skip: fc.nat({ max: 5 }),
      npage: upTo(8),
      prot,
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('2 MiB folios'),
      folios: upTo(2),
      aligned: fc.boolean(),
      swapped: fc.boolean(),
      hugetlb: fc.boolean(),
      prot,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('a 1 GiB folio') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('small pages over a section border'),
      before: upTo(12),
      after: upTo(12),
      prot,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('2 MiB folios over a section border') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('corners of two sections'),
      from: fc.nat({ max: 9 }),
      to: fc.nat({ max: 9 }),
      npage: upTo(6),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('the end of memory, then device memory that follows it'),
      before: upTo(9),
      after: upTo(9),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('a gap'), npage: upTo(3), vma: fc.boolean() }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('device memory'),
      npage: fc.oneof(upTo(30), upTo(1100)),
      shift: fc.constantFrom('congruent', 'one page off', 'one page before 2 MiB'),
      maxLeafOrder: fc.constantFrom(0, 9, 18),
      prot: fc.constantFrom(RW, RW, RO),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('reserved pages, mapped by a driver'),
      npage: upTo(9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('ordinary pages, mapped by a driver'),
      npage: upTo(3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('movable pages'), npage: upTo(5) }) },
);
type Region = typeof region extends fc.Arbitrary<infer T> ? T : never;

/** A process to be. */
export interface World {
  /** First virtual page, a multiple of 1 GiB. */
  readonly base: number;
  readonly model: MemoryModel;
  /** Permutation of the memmaps under classic sparsemem. */
  readonly seed: number;
  readonly regions: readonly Region[];
}

/** Random worlds. */
export const world: fc.Arbitrary<World> = fc.record({
  base: fc.constantFrom(GIB, 2 ** 32, 2 ** 36 - 64 * GIB),
  model: fc.constantFrom<MemoryModel>('sparsemem-vmemmap', 'sparsemem'),
  seed: fc.nat({ max: 30 }),
  regions: fc.array(region, { minLength: 2, maxLength: 7 }),
});

/** Places regions one after the other. */
class Builder {
  readonly mm: MmStruct;
  readonly pages = new WorldPages();
  vpn: number;
  /** Next free frames of the pools: small pages, folios, 2 MiB folios, pages over borders. */
  #small = SECTION + 100;
  #folio = 3 * SECTION + 512;
  #huge = 4 * SECTION + 512;
  #border = 2;
  #reserved = RESERVED;
  #movable = MOVABLE * SECTION;
  #bar = BAR;
  #once = new Set<string>();
  readonly #folios: { pfn: number; order: number }[] = [];

  constructor(mm: MmStruct, base: number) {
    this.mm = mm;
    this.vpn = base;
  }

  place(what: Region): void {
    switch (what.kind) {
      case 'small pages':
        this.#smallPages(what.npage, what.pattern, what.prot);
        break;
      case 'slices of folios':
        this.#slices(what);
        break;
      case 'a slice of a folio mapped before':
        this.#sliceAgain(what);
        break;
      case '2 MiB folios':
        this.#hugeFolios(what);
        break;
      case 'a 1 GiB folio':
        if (!this.#isFirst(what.kind)) break;
        this.#alignTo(GIB);
        this.#memory([[16 * SECTION, GIB]], 18, RW, 'hugetlb');
        break;
      case 'small pages over a section border':
        // Borders 1|2, 2|3, 3|4, 4|5.
        if (this.#border > 5) break;
        this.#memory(
          [[this.#border++ * SECTION - what.before, what.before + what.after]],
          0,
          what.prot,
        );
        break;
      case '2 MiB folios over a section border':
        if (!this.#isFirst(what.kind)) break;
        this.#alignTo(512);
        this.#memory([[6 * SECTION - 512, 1024]], 9, RW);
        break;
      case 'corners of two sections':
        this.#corners(what);
        break;
      case 'the end of memory, then device memory that follows it':
        if (!this.#isFirst(what.kind)) break;
        this.#memory([[7 * SECTION - what.before, what.before]], 0, RW);
        this.#device(what.after, 7 * SECTION, 0, RW);
        break;
      case 'a gap':
        this.#gap(what);
        break;
      case 'device memory':
        this.#bars(what);
        break;
      case 'reserved pages, mapped by a driver':
        this.#device(what.npage, this.#reserved, 0, RW);
        this.#reserved += what.npage;
        break;
      case 'ordinary pages, mapped by a driver':
        this.#device(what.npage, 10 * SECTION + 20_000, 0, RW, true);
        break;
      case 'movable pages':
        this.#memory([[this.#movable, what.npage]], 0, RW);
        this.#movable += what.npage;
        break;
    }
  }

  #alignTo(pages: number): void {
    this.vpn = Math.ceil(this.vpn / pages) * pages;
  }

  #isFirst(kind: string): boolean {
    const first = !this.#once.has(kind);
    this.#once.add(kind);
    return first;
  }

  #smallPages(npage: number, pattern: string, access: Prot): void {
    const first = this.#small;
    const pages = Array.from({ length: npage }, (_, i) => first + i);
    this.#small += 2 * npage + 1;
    const order: Record<string, () => number[]> = {
      run: () => pages,
      swapped: () => pages.map((_, i) => first + (i ^ 1)),
      reversed: () => pages.reverse(),
      'every other': () => pages.map((_, i) => first + 2 * i),
    };
    const pfns = order[pattern]?.() ?? pages;
    this.#memory(pattern === 'run' ? [[first, npage]] : pfns.map((pfn) => [pfn, 1]), 0, access);
  }

  #slices(what: Region & { kind: 'slices of folios' }): void {
    const size = 2 ** what.order;
    const first = Math.ceil(this.#folio / size) * size;
    this.#folio = first + (what.folios + 1) * size;
    const runs = Array.from({ length: what.folios }, (_, i): [number, number] => {
      const pfn = first + (what.swapped ? what.folios - 1 - i : i) * size;
      this.#folios.push({ pfn, order: what.order });
      const skip = i === 0 ? Math.min(what.skip, size - 1) : 0;
      const drop = i === what.folios - 1 ? Math.min(what.drop, size - 1 - skip) : 0;
      return [pfn + skip, size - skip - drop];
    });
    this.#memory(runs, what.order, what.prot);
  }

  #sliceAgain({
    which,
    skip,
    npage,
    prot: access,
  }: Region & { kind: 'a slice of a folio mapped before' }): void {
    const folio = this.#folios[which % (this.#folios.length || 1)];
    if (!folio) return;
    const from = Math.min(skip, 2 ** folio.order - 1);
    this.#memory(
      [[folio.pfn + from, Math.min(npage, 2 ** folio.order - from)]],
      folio.order,
      access,
    );
  }

  #hugeFolios({
    folios,
    aligned,
    swapped,
    hugetlb,
    prot: access,
  }: Region & { kind: '2 MiB folios' }): void {
    const first = this.#huge;
    this.#huge += (folios + 1) * 512;
    if (aligned) this.#alignTo(512);
    const runs = Array.from({ length: folios }, (_, i): [number, number] => [
      first + (swapped ? folios - 1 - i : i) * 512,
      512,
    ]);
    this.#memory(runs, 9, access, hugetlb ? 'hugetlb' : 'anon');
  }

  /** The last pages of one section and, next to them in the address space, the first of another. */
  #corners({ from, to, npage }: Region & { kind: 'corners of two sections' }): void {
    const sections = this.#once.has('a 1 GiB folio')
      ? [10, 11]
      : [10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
    const [last, first] = [sections[from % sections.length], sections[to % sections.length]];
    if (!this.#isFirst(`end of ${last}`) || !this.#isFirst(`start of ${first}`)) return;
    // What a 1 GiB folio would lie in is taken now.
    if (Math.max(last, first) >= 16) this.#once.add('a 1 GiB folio');
    this.#memory(
      [
        [(last + 1) * SECTION - npage, npage],
        [first * SECTION, npage],
      ],
      0,
      RW,
    );
  }

  /** Pages without a VMA, or with one and nothing in it. */
  #gap({ npage, vma }: Region & { kind: 'a gap' }): void {
    if (vma)
      mmapMemory(this.mm, { vpn: this.vpn, npage, kind: 'anon', order: 0, frames: NO_FRAMES });
    this.vpn += npage;
  }

  #bars({ npage, shift, maxLeafOrder, prot: access }: Region & { kind: 'device memory' }): void {
    if (shift !== 'one page off') this.#alignTo(512);
    if (shift === 'one page before 2 MiB') this.vpn += 511;
    const pfn = this.#bar + (this.vpn % GIB) + (shift === 'one page off' ? 1 : 0);
    this.#bar += 2 * GIB;
    this.#device(npage, pfn, maxLeafOrder, access);
  }

  /** Maps runs of frames, one after the other in the address space. */
  #memory(
    runs: readonly (readonly [number, number])[],
    order: number,
    access: Prot,
    kind: MemoryKind = 'anon',
  ): void {
    const npage = runs.reduce((sum, [, length]) => sum + length, 0);
    const start = this.vpn;
    for (const [pfn, length] of runs) {
      this.pages.add(this.vpn, length, { pfn, order, prot: access });
      this.vpn += length;
    }
    mmapMemory(this.mm, {
      vpn: start,
      npage,
      kind,
      order,
      prot: access,
      frames: framesOf(start, runs, order),
    });
  }

  /** Maps device memory, in leaves as large as alignment allows. */
  #device(npage: number, pfn: number, maxLeafOrder: number, access: Prot, ordinary = false): void {
    mmapPfnmap(this.mm, { vpn: this.vpn, npage, pfn, maxLeafOrder, prot: access });
    for (let done = 0; done < npage;) {
      const [at, frame] = [this.vpn + done, pfn + done];
      const fits = (order: number): boolean =>
        order <= maxLeafOrder &&
        at % 2 ** order === 0 &&
        frame % 2 ** order === 0 &&
        npage - done >= 2 ** order;
      const leafEnd = at + (fits(18) ? GIB : fits(9) ? 512 : 1);
      this.pages.add(at, leafEnd - at, { pfn: frame, order: 0, prot: access, leafEnd, ordinary });
      done += leafEnd - at;
    }
    this.vpn += npage;
  }
}

const NO_FRAMES: FrameSource = {
  framesFor(_vpn, npage, _order, out) {
    out.pfn = -1;
    out.npage = npage;
  },
};

/** Runs of frames as a source of frames. */
function framesOf(
  start: number,
  runs: readonly (readonly [number, number])[],
  order: number,
): FrameSource {
  return {
    framesFor(vpn: number, npage: number, _order: number, out: FrameRun) {
      let at = start;
      for (const [pfn, length] of runs) {
        if (vpn < at + length) {
          out.pfn = pfn + vpn - at;
          out.npage = Math.min(npage, at + length - vpn);
          out.order = order;
          return;
        }
        at += length;
      }
    },
  };
}

/** Makes the machine of a world, with the mm rules of a kernel. */
export function buildWorld({ base, model, seed, regions }: World, rules: MmRules): BuiltWorld {
  const memory = new Memory(new MemMap(RANGES, model, seed), rules);
  const mm = new MmStruct(memory);
  const builder = new Builder(mm, base);
  const borders: number[] = [];
  for (const what of regions) {
    borders.push(builder.vpn);
    builder.place(what);
  }
  return { memory, mm, pages: builder.pages, borders: [...borders, builder.vpn] };
}
