/**
 * Random processes: address spaces packed with every kind of memory that DMA mapping meets, on a
 * machine with section borders, holes, reserved pages and movable memory.
 *
 * A world is plain data; `buildWorld` makes the machine of it, and an independent description of
 * every page (`WorldPages`), which the expectations of the properties are made of.
 */
import { X86_64, type PageGeometry } from '@pinfold/base';
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
  type MemoryRange,
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

/** First 1000 pages of zone 8 that are reserved. */
const RESERVED_PAGES = 1000;
/** Device memory, far above all memory; a multiple of the largest folio. */
const BAR = 2 ** 26;

/**
 * Where things lie. Memory is laid out in zones: a section each on x86-64, as many as hold the
 * large folios of a world on other machines.
 */
class Places {
  /** Pages of a section. */
  readonly section: number;
  /** Pages of a zone, whole sections. */
  readonly zone: number;
  /** Order and pages of a PMD leaf. */
  readonly pmdOrder: number;
  readonly pmd: number;
  /** Order and pages of the largest folio: 1 GiB on x86-64. */
  readonly giganticOrder: number;
  readonly gigantic: number;

  constructor(geometry: PageGeometry) {
    const { sectionPages, pmdOrder, hugetlbOrders } = geometry;
    this.section = sectionPages;
    this.pmdOrder = pmdOrder;
    this.pmd = 2 ** pmdOrder;
    this.zone = Math.max(sectionPages, 64 * this.pmd);
    this.giganticOrder = Math.max(...hugetlbOrders);
    this.gigantic = 2 ** this.giganticOrder;
  }

  /** Zones 1 to 6, 8 (not all of it), 9 (movable), 10, 11, and 16 to 31. */
  get ranges(): readonly MemoryRange[] {
    const { zone } = this;
    return [
      { pfn: zone, npage: 6 * zone },
      { pfn: 8 * zone + RESERVED_PAGES, npage: 20_000 },
      { pfn: 9 * zone, npage: zone, zone: 'movable' },
      { pfn: 10 * zone, npage: 2 * zone },
      { pfn: 16 * zone, npage: 16 * zone },
    ];
  }
}

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
      kind: fc.constant('large folios'),
      folios: upTo(2),
      aligned: fc.boolean(),
      swapped: fc.boolean(),
      hugetlb: fc.boolean(),
      prot,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('a gigantic folio') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('small pages over a section border'),
      before: upTo(12),
      after: upTo(12),
      prot,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('large folios over a section border') }) },
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
      shift: fc.constantFrom('congruent', 'one page off', 'one page before a large leaf'),
      maxLeafLevel: fc.constantFrom(0, 1, 2),
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
  /** First virtual page, a multiple of the largest folio; nearer if the page table ends before. */
  readonly base: number;
  readonly model: MemoryModel;
  /** Permutation of the memmaps under classic sparsemem. */
  readonly seed: number;
  readonly regions: readonly Region[];
}

/** Random worlds. */
export const world: fc.Arbitrary<World> = fc.record({
  base: fc.constantFrom(2 ** 18, 2 ** 32, 2 ** 36 - 2 ** 24),
  model: fc.constantFrom<MemoryModel>('sparsemem-vmemmap', 'sparsemem'),
  seed: fc.nat({ max: 30 }),
  regions: fc.array(region, { minLength: 2, maxLength: 7 }),
});

/** Places regions one after the other. */
class Builder {
  readonly mm: MmStruct;
  readonly pages: WorldPages;
  vpn: number;
  readonly #at: Places;
  /** Next free frames of the pools: small pages, folios, large folios, pages over borders. */
  #small: number;
  #folio: number;
  #huge: number;
  #border = 2;
  #reserved: number;
  #movable: number;
  #bar = BAR;
  #once = new Set<string>();
  readonly #folios: { pfn: number; order: number }[] = [];

  constructor(mm: MmStruct, base: number, at: Places) {
    const { zone, pmd } = at;
    this.mm = mm;
    this.pages = new WorldPages(at.section);
    // Below the end of user space: fast GUP refuses what lies above it.
    const { taskPages } = mm.pageTable.geometry;
    this.vpn = Math.min(base, taskPages - (taskPages % 2 ** 24) - 2 ** 24);
    this.#at = at;
    this.#small = zone + 100;
    this.#folio = 3 * zone + pmd;
    this.#huge = 4 * zone + pmd;
    this.#reserved = 8 * zone;
    this.#movable = 9 * zone;
  }

  place(what: Region): void {
    const { zone, pmd, pmdOrder, gigantic, giganticOrder } = this.#at;
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
      case 'large folios':
        this.#hugeFolios(what);
        break;
      case 'a gigantic folio':
        if (!this.#isFirst(what.kind)) break;
        this.#alignTo(gigantic);
        this.#memory([[16 * zone, gigantic]], giganticOrder, RW, 'hugetlb');
        break;
      case 'small pages over a section border':
        // Borders 1|2, 2|3, 3|4, 4|5.
        if (this.#border > 5) break;
        this.#memory(
          [[this.#border++ * zone - what.before, what.before + what.after]],
          0,
          what.prot,
        );
        break;
      case 'large folios over a section border':
        if (!this.#isFirst(what.kind)) break;
        this.#alignTo(pmd);
        this.#memory([[6 * zone - pmd, 2 * pmd]], pmdOrder, RW);
        break;
      case 'corners of two sections':
        this.#corners(what);
        break;
      case 'the end of memory, then device memory that follows it':
        if (!this.#isFirst(what.kind)) break;
        this.#memory([[7 * zone - what.before, what.before]], 0, RW);
        this.#device(what.after, 7 * zone, 0, RW);
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
        this.#device(what.npage, 10 * zone + 20_000, 0, RW, true);
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
  }: Region & { kind: 'large folios' }): void {
    const { pmd, pmdOrder } = this.#at;
    const first = this.#huge;
    this.#huge += (folios + 1) * pmd;
    if (aligned) this.#alignTo(pmd);
    const runs = Array.from({ length: folios }, (_, i): [number, number] => [
      first + (swapped ? folios - 1 - i : i) * pmd,
      pmd,
    ]);
    this.#memory(runs, pmdOrder, access, hugetlb ? 'hugetlb' : 'anon');
  }

  /** The last pages of one section and, next to them in the address space, the first of another. */
  #corners({ from, to, npage }: Region & { kind: 'corners of two sections' }): void {
    const { zone } = this.#at;
    const sections = this.#once.has('a gigantic folio')
      ? [10, 11]
      : [10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
    const [last, first] = [sections[from % sections.length], sections[to % sections.length]];
    if (!this.#isFirst(`end of ${last}`) || !this.#isFirst(`start of ${first}`)) return;
    // What a gigantic folio would lie in is taken now.
    if (Math.max(last, first) >= 16) this.#once.add('a gigantic folio');
    this.#memory(
      [
        [(last + 1) * zone - npage, npage],
        [first * zone, npage],
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

  #bars({ npage, shift, maxLeafLevel, prot: access }: Region & { kind: 'device memory' }): void {
    const { pmd, pmdOrder, gigantic } = this.#at;
    if (shift !== 'one page off') this.#alignTo(pmd);
    if (shift === 'one page before a large leaf') this.vpn += pmd - 1;
    const pfn = this.#bar + (this.vpn % gigantic) + (shift === 'one page off' ? 1 : 0);
    this.#bar += 2 * gigantic;
    this.#device(npage, pfn, maxLeafLevel * pmdOrder, access);
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
      const leafEnd = at + 2 ** (this.mm.pageTable.geometry.hugeOrders.find(fits) ?? 0);
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

/** Makes the machine of a world, with the mm rules of a kernel; default: an x86-64 machine. */
export function buildWorld(
  { base, model, seed, regions }: World,
  rules: MmRules,
  geometry: PageGeometry = X86_64,
): BuiltWorld {
  const at = new Places(geometry);
  const memory = new Memory(new MemMap(at.ranges, model, seed, undefined, geometry), rules);
  const mm = new MmStruct(memory);
  const builder = new Builder(mm, base, at);
  const borders: number[] = [];
  for (const what of regions) {
    borders.push(builder.vpn);
    builder.place(what);
  }
  return { memory, mm, pages: builder.pages, borders: [...borders, builder.vpn] };
}
