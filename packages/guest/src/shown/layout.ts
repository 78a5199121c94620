/**
 * The physical layout of regions in the shape of the recordings, step by step.
 *
 * @source recordings README, "Layout extents"
 */
import { pagesOf, SpanTree, type Span, type Vpn } from '@pinfold/base';
import { PG, PTE, type MmStruct } from '@pinfold/mm';
import { Runs, type RunKind, ShownLayouts, type Extent } from '@pinfold/scenario';

/** All pages of the small zero page are the same. */
const ZERO_PAGES = 'z';

/** Extents: as long as frames, order and flags allow. */
const extentRuns: RunKind<Extent> = {
  part: ({ at, pfn, order, flags }, from, npage) => ({
    ...{ at: from, npage, pfn: flags === ZERO_PAGES ? pfn : pfn + (from - at), order, flags },
  }),
  goesOn: (extent, { at, pfn, order, flags }) =>
    extent.order === order &&
    extent.flags === flags &&
    (flags === ZERO_PAGES ? extent.pfn : extent.pfn + (at - extent.at)) === pfn,
};

/** A region, as it was seen last. */
interface SeenRegion extends Span {
  readonly name: string;
  /** Regions in the order in which they were mapped. */
  readonly nth: number;
  extents: Runs<Extent>;
}

/** A region of the process. */
interface Region {
  readonly vpn: Vpn;
  readonly npage: number;
}

/** The layouts of all regions of a process, as they were seen last. */
export class SeenLayouts {
  readonly #mm: MmStruct;
  readonly #regions = new Map<string, SeenRegion>();
  #byAddress = SpanTree.empty<SeenRegion>();
  /** Regions that nobody has looked at yet. */
  readonly #fresh = new Set<SeenRegion>();

  /** @param mm the process's memory */
  constructor(mm: MmStruct) {
    this.#mm = mm;
  }

  /**
   * Takes a region in: a new one, or one of a known name that lies elsewhere now.
   *
   * @param name its name
   * @param region where it lies
   */
  add(name: string, { vpn, npage }: Region): void {
    const known = this.#regions.get(name);
    if (known?.at === vpn && known.npage === npage) return;
    if (known) this.#byAddress = this.#byAddress.without(known);
    const nth = known?.nth ?? this.#regions.size;
    const seen = { at: vpn, npage, name, nth, extents: new Runs(extentRuns) };
    this.#regions.set(name, seen);
    this.#byAddress = this.#byAddress.with(seen);
    this.#fresh.add(seen);
  }

  /**
   * Looks at what was written into the page table since the last look.
   *
   * @returns the layouts of the regions that are new or not as they were; undefined without any
   */
  look(): ShownLayouts | undefined {
    const { written } = this.#mm.pageTable;
    const { first, end } = written;
    const changed: SeenRegion[] = [];
    for (const region of this.#fresh) {
      this.#read(region, region.at, region.at + region.npage);
      changed.push(region);
    }
    if (!written.isEmpty) {
      for (const region of this.#byAddress.overlapping(first, end)) {
        const from = Math.max(first, region.at);
        const to = Math.min(end, region.at + region.npage);
        if (!this.#fresh.has(region) && this.#read(region, from, to)) changed.push(region);
      }
    }
    this.#fresh.clear();
    written.clear();
    if (changed.length === 0) return undefined;
    changed.sort((a, b) => a.nth - b.nth);
    return new ShownLayouts(changed.map(({ name, extents }) => [name, extents]));
  }

  /** Reads the pages of a range anew; whether they are not as they were. */
  #read(region: SeenRegion, from: Vpn, to: Vpn): boolean {
    const { at: start, extents } = region;
    const pieces = piecesOf(this.#mm, start, from, to);
    region.extents = extents.replace(from - start, to - start, pieces).runs;
    return region.extents !== extents;
  }
}

/** Pages or leaves that are present in a part of a region, each by itself. */
function piecesOf(mm: MmStruct, start: Vpn, from: Vpn, to: Vpn): Extent[] {
  const pieces: Extent[] = [];
  mm.pageTable.forEachLeaf(from, to, (leaf, pfn, level, bits) => {
    const first = Math.max(leaf, from);
    const npage = Math.min(leaf + pagesOf(mm.pageTable.tableBits * level), to) - first;
    const piece = describe(mm, first - start, pfn + (first - leaf), npage, bits);
    if (piece) pieces.push(piece);
  });
  return pieces;
}

/** Pages of a pure pfn mapping have no place in a layout. */
function describe(
  mm: MmStruct,
  at: number,
  pfn: number,
  npage: number,
  bits: number,
): Extent | null {
  const { memmap, zeroPfn, hugeZeroPfn } = mm.memory;
  if (bits & PTE.special) {
    if (pfn === zeroPfn) return { at, npage, pfn, order: 0, flags: ZERO_PAGES };
    const huge = pfn >= hugeZeroPfn && pfn < hugeZeroPfn + 512;
    return huge ? { at, npage, pfn, order: 9, flags: 'ztf' } : null;
  }
  const head = memmap.headEntryOf(pfn);
  const order = memmap.order[head];
  const kind = memmap.flags[head];
  const anon = (kind & PG.anon) !== 0;
  const letters = [
    kind & PG.hugetlb ? 'h' : '',
    anon ? 'a' : '',
    order > 0 && !(kind & PG.hugetlb) ? 't' : '',
    anon ? '' : 'f',
    bits & PTE.anonExclusive ? 'x' : '',
  ];
  return { at, npage, pfn, order, flags: letters.join('') };
}
