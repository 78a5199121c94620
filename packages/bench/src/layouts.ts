/**
 * Where in physical memory the frames of a mapping lie: what decides how long the runs are that
 * pinning and unmapping find.
 *
 * The tags are those of the reference: T4 and S4 are the two extremes of 4 KiB pages, and real
 * memory lies between; H2 and H1 are huge pages, no two of them adjacent, and H2-adjacent and
 * H1-adjacent those that all are. A layout is one entry of `layouts`.
 */
import {
  InputError,
  pagesOf,
  PMD_ORDER,
  PUD_ORDER,
  X86_64,
  type Pfn,
  type Vpn,
} from '@pinfold/base';
import type { FrameRun, FrameSource, MemoryRange } from '@pinfold/mm';
import type { Backing } from './backings.ts';

/** Name of a layout of 4 KiB pages, as on the command line. */
export type LayoutName = 'contiguous' | 'scattered';

/** All names of layouts; the first is the default. */
export const layoutNames: readonly LayoutName[] = ['contiguous', 'scattered'];

/** Tag of a layout in the reference. */
export type LayoutTag = 'S4' | 'T4' | 'H2' | 'H1' | 'H2-adjacent' | 'H1-adjacent';

/** Frames for a range of virtual pages, and the memory that they are taken from. */
export interface Placement {
  /** The frames. */
  readonly frames: FrameSource;
  /** The machine's memory, whole sections. */
  readonly memory: MemoryRange;
}

/** A layout of frames. */
export interface Layout {
  /** Its tag in the reference. */
  readonly tag: LayoutTag;
  /** One line on what it is. */
  readonly summary: string;
  /** The kind of memory that it is an extreme of, and what was measured on it. */
  readonly source: string;
  /** Order of the folios that it lays out: a backing has to have the same. */
  readonly order: number;
  /** Order of the leaves with which the IOMMU maps it. */
  readonly leafOrder: number;
  /**
   * Lays out the frames of a mapping.
   *
   * @param vpn first virtual page, aligned to 1 GiB
   * @param npage length in pages
   * @returns the frames and the memory that holds them
   */
  place(vpn: Vpn, npage: number): Placement;
}

/** First frame of the machine's memory: 4 GiB, aligned to every leaf size. */
const MEMORY_START: Pfn = 2 ** 20;

/** All layouts by tag, in the order in which reports show them. */
export const layouts: Readonly<Record<LayoutTag, Layout>> = {
  S4: {
    tag: 'S4',
    summary: 'no two neighbours adjacent',
    source: 'the worst case of 4 KiB pages; no published time is of it',
    ...{ order: 0, leafOrder: 0 },
    place: (vpn, npage) => swappedPairs(vpn, npage, 0),
  },
  T4: {
    tag: 'T4',
    summary: 'one physical run, aligned to 2 MiB but not to 1 GiB',
    source: 'the best case of 4 KiB pages; published times of MAP_POPULATE need runs like this',
    ...{ order: 0, leafOrder: PMD_ORDER },
    place: (vpn, npage) => oneRun(vpn, npage, 0),
  },
  H2: {
    tag: 'H2',
    summary: 'no two neighbours adjacent',
    source: 'the worst case of 2 MiB pages, THP or hugetlb',
    ...{ order: PMD_ORDER, leafOrder: PMD_ORDER },
    place: (vpn, npage) => swappedPairs(vpn, npage, PMD_ORDER),
  },
  H1: {
    tag: 'H1',
    summary: 'no two neighbours adjacent',
    source: 'the worst case of 1 GiB pages',
    ...{ order: PUD_ORDER, leafOrder: PUD_ORDER },
    place: (vpn, npage) => swappedPairs(vpn, npage, PUD_ORDER),
  },
  'H2-adjacent': {
    tag: 'H2-adjacent',
    summary: 'one physical run, aligned to 2 MiB but not to 1 GiB',
    source: 'the best case of 2 MiB pages, THP or hugetlb',
    ...{ order: PMD_ORDER, leafOrder: PMD_ORDER },
    place: (vpn, npage) => oneRun(vpn, npage, PMD_ORDER),
  },
  'H1-adjacent': {
    tag: 'H1-adjacent',
    summary: 'one physical run, aligned to 1 GiB',
    source: 'the best case of 1 GiB pages',
    ...{ order: PUD_ORDER, leafOrder: PUD_ORDER },
    place: (vpn, npage) => oneRun(vpn, npage, PUD_ORDER),
  },
};

/**
 * The layout in which the frames of a backing lie.
 *
 * @param backing the backing
 * @param name layout of 4 KiB pages; huge pages have one layout only
 * @returns the layout
 */
export function layoutOf(backing: Backing, name: LayoutName): Layout {
  if (backing.order === PMD_ORDER) return layouts.H2;
  if (backing.order === PUD_ORDER) return layouts.H1;
  return name === 'contiguous' ? layouts.T4 : layouts.S4;
}

/**
 * Looks a layout up.
 *
 * @param tag its tag
 * @param place the flag or the place in a file, for the message
 * @returns the layout
 * @throws {InputError} when there is none of that tag
 */
export function layout(tag: string, place = 'layout'): Layout {
  const found = Object.values(layouts).find((candidate) => candidate.tag === tag);
  if (found) return found;
  throw new InputError(place, `one of ${Object.keys(layouts).join(', ')}`, `'${tag}'`);
}

/**
 * Reads the name of a layout of 4 KiB pages.
 *
 * @param text the name as written
 * @param place the flag or the place in a file, for the message
 * @returns the name
 * @throws {InputError} when there is no such layout
 */
export function layoutName(text: string, place = 'layout'): LayoutName {
  const name = layoutNames.find((candidate) => candidate === text);
  if (name) return name;
  throw new InputError(place, `one of ${layoutNames.join(', ')}`, `'${text}'`);
}

/**
 * One physical run of pages of one order, congruent to the virtual pages modulo that order and at
 * least 2 MiB, but no more.
 */
function oneRun(vpn: Vpn, npage: number, order: number): Placement {
  const first = MEMORY_START + pagesOf(Math.max(order, PMD_ORDER));
  const frames: FrameSource = {
    framesFor(at: Vpn, wanted: number, _order: number, out: FrameRun): void {
      out.pfn = first + (at - vpn);
      out.npage = wanted;
      out.order = order;
    },
  };
  return { frames, memory: memoryUpTo(first + npage) };
}

/** Pages of one order in which every two neighbours have changed places. */
function swappedPairs(vpn: Vpn, npage: number, order: number): Placement {
  const size = pagesOf(order);
  const frames: FrameSource = {
    framesFor(at: Vpn, wanted: number, _order: number, out: FrameRun): void {
      const offset = (at - vpn) % size;
      const index = (at - vpn - offset) / size;
      const partner = index % 2 === 0 ? index + 1 : index - 1;
      out.pfn = MEMORY_START + partner * size + offset;
      out.npage = Math.min(wanted, size - offset);
      out.order = order;
    },
  };
  // The last of an odd number of pages lies one further.
  return { frames, memory: memoryUpTo(MEMORY_START + npage + size) };
}

function memoryUpTo(end: Pfn): MemoryRange {
  const sections = Math.ceil((end - MEMORY_START) / X86_64.sectionPages);
  return { pfn: MEMORY_START, npage: sections * X86_64.sectionPages };
}
