/** Random address spaces: every kind of memory that GUP meets, packed tightly, with holes. */
import type { PageGeometry } from '@pinfold/base';
import fc from 'fast-check';
import { FrameRun, type FrameSource } from '../src/frame-source.ts';
import { MemMap, type MemoryModel } from '../src/memmap.ts';
import { Memory } from '../src/memory.ts';
import type { MemoryRange } from '../src/sections.ts';
import { mmapMemory, mmapPfnmap, type Prot } from '../src/mmap.ts';
import { MmStruct } from '../src/mm-struct.ts';
import { RULES } from './machine.ts';

/** First virtual page of every space, unless the page table ends there; a multiple of all leaves. */
const FIRST_VPN = 2 ** 32;

const READ_WRITE: Prot = { read: true, write: true };
const prot = fc.oneof(
  { weight: 6, arbitrary: fc.constant(READ_WRITE) },
  { weight: 1, arbitrary: fc.constant<Prot>({ read: true, write: false }) },
  { weight: 1, arbitrary: fc.constant<Prot>({ read: false, write: true }) },
);

/** A piece of address space. */
const piece = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('small' as const),
      npage: fc.integer({ min: 1, max: 90 }),
      swap: fc.boolean(),
      prot,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('folios' as const),
      order: fc.integer({ min: 1, max: 8 }),
      folios: fc.integer({ min: 1, max: 4 }),
      skip: fc.nat({ max: 5 }),
      prot,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('thp' as const),
      aligned: fc.boolean(),
      folios: fc.integer({ min: 1, max: 2 }),
      hugetlb: fc.boolean(),
      prot,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('border' as const),
      npage: fc.integer({ min: 2, max: 20 }),
      order: fc.constantFrom(0, 1),
      prot,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('gap' as const),
      npage: fc.integer({ min: 1, max: 3 }),
      vma: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('bar' as const),
      npage: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('movable' as const),
      npage: fc.integer({ min: 1, max: 4 }),
      order: fc.constantFrom(0, 2),
    }),
  },
);
type Piece = typeof piece extends fc.Arbitrary<infer T> ? T : never;

/** A zone: a section of x86-64, whole sections for some PMD leaves of others. */
function zoneOf({ sectionPages, pmdOrder }: PageGeometry): number {
  return Math.max(sectionPages, 32 * 2 ** pmdOrder);
}

/** Zones 1 to 8 are ordinary memory, zone 9 is movable. */
function rangesOf(zone: number): readonly MemoryRange[] {
  return [
    { pfn: zone, npage: 8 * zone },
    { pfn: 9 * zone, npage: zone, zone: 'movable' },
  ];
}

/** Hands out frames: small pages, folios and THPs each from zones of their own. */
class Frames {
  readonly #zone: number;
  #small: number;
  #folio: number;
  #border = 5;
  #movable: number;

  constructor(zone: number) {
    this.#zone = zone;
    this.#small = zone;
    this.#folio = 2 * zone;
    this.#movable = 9 * zone;
  }

  take(order: number, folios: number): number {
    const size = 2 ** order;
    const at = order === 0 ? this.#small : Math.ceil(this.#folio / size) * size;
    if (order === 0) this.#small = at + folios + 1;
    else this.#folio = at + folios * size + size * (folios % 2);
    return at;
  }

  /** Pages around the next border of two sections. */
  overBorder(npage: number): number {
    return this.#border++ * this.#zone - 2 * Math.ceil(npage / 4);
  }

  takeMovable(npage: number): number {
    const at = this.#movable;
    this.#movable += Math.ceil(npage / 4) * 4;
    return at;
  }
}

/** Frames of consecutive pages; swapped in pairs if asked for. */
function sequence(vpn: number, pfn: number, order: number, swap = false): FrameSource {
  return {
    framesFor(at: number, npage: number, _order: number, out: FrameRun) {
      const page = at - vpn;
      out.pfn = pfn + (swap ? page ^ 1 : page);
      out.npage = swap ? 1 : npage;
      out.order = order;
    },
  };
}

/** Maps a piece at a virtual page; returns the first page after it. */
function place(mm: MmStruct, frames: Frames, vpn: number, what: Piece): number {
  const memory = (
    at: number,
    npage: number,
    pfn: number,
    order: number,
    access: Prot,
    swap = false,
  ): number => {
    mmapMemory(mm, {
      vpn: at,
      npage,
      kind: 'anon',
      order,
      prot: access,
      frames: sequence(at, pfn, order, swap),
    });
    return at + npage;
  };
  switch (what.kind) {
    case 'small': {
      const npage = what.swap ? what.npage + (what.npage % 2) : what.npage;
      return memory(vpn, npage, frames.take(0, npage), 0, what.prot, what.swap);
    }
    case 'folios': {
      const pages = 2 ** what.order * what.folios;
      const skip = Math.min(what.skip, pages - 1);
      return memory(
        vpn,
        pages - skip,
        frames.take(what.order, what.folios) + skip,
        what.order,
        what.prot,
      );
    }
    case 'thp': {
      const { pmdOrder: order } = mm.pageTable.geometry;
      const aligned = Math.ceil(vpn / 2 ** order) * 2 ** order;
      const at = what.aligned ? aligned : vpn;
      const pfn = frames.take(order, what.folios);
      const npage = 2 ** order * what.folios;
      const kind = what.hugetlb ? 'hugetlb' : 'anon';
      mmapMemory(mm, {
        vpn: at,
        npage,
        kind,
        order,
        prot: what.prot,
        frames: sequence(at, pfn, order),
      });
      return at + npage;
    }
    case 'border': {
      const pfn = frames.overBorder(what.npage);
      // An order-1 folio never lies over a border; the run does.
      const npage = what.npage + (what.npage % 2);
      return memory(vpn, npage, pfn, what.order, what.prot);
    }
    case 'gap': {
      if (what.vma) {
        const none: FrameSource = {
          framesFor(_vpn, npage, _order, out) {
            out.pfn = -1;
            out.npage = npage;
          },
        };
        mmapMemory(mm, { vpn, npage: what.npage, kind: 'anon', order: 0, frames: none });
      }
      return vpn + what.npage;
    }
    case 'bar':
      mmapPfnmap(mm, { vpn, npage: what.npage, pfn: 2 ** 30 });
      return vpn + what.npage;
    case 'movable': {
      const npage = what.npage * 2 ** what.order;
      return memory(vpn, npage, frames.takeMovable(npage), what.order, READ_WRITE);
    }
  }
}

/** An address space and how many pages it reaches over. */
export interface Space {
  readonly mm: MmStruct;
  readonly npage: number;
  /** First virtual page. */
  readonly first: number;
}

const plan = fc.record({
  model: fc.constantFrom<MemoryModel>('sparsemem-vmemmap', 'sparsemem'),
  seed: fc.nat({ max: 20 }),
  pieces: fc.array(piece, { minLength: 1, maxLength: 8 }),
});

/**
 * Random spaces on a machine; at most four pieces over section borders, of which there are four.
 *
 * @param geometry page size and page-table geometry
 */
export function spaceOn(geometry: PageGeometry): fc.Arbitrary<Space> {
  const zone = zoneOf(geometry);
  return plan.map(({ model, seed, pieces }) => {
    const memmap = new MemMap(rangesOf(zone), model, seed, undefined, geometry);
    const mm = new MmStruct(new Memory(memmap, RULES.nth_page));
    const frames = new Frames(zone);
    const first = Math.min(FIRST_VPN, geometry.virtualPages / 2);
    let vpn = first;
    let borders = 0;
    for (const what of pieces) {
      if (what.kind === 'border' && ++borders > 4) continue;
      vpn = place(mm, frames, vpn, what);
    }
    return { mm, npage: vpn - first, first };
  });
}
