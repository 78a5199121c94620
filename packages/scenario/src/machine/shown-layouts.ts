/**
 * The layouts that a step shows. They are kept as versions of runs, and become the lists of the
 * recordings when somebody reads them.
 */
import type { Span } from '@pinfold/base';
import type { LayoutExtent } from './observation.ts';
import type { Runs } from './runs.ts';

/** Pages of a region that continue each other; `at` counts from the start of the region. */
export interface Extent extends Span {
  /** First frame. */
  readonly pfn: number;
  /** Order of the folios. */
  readonly order: number;
  /** Flag letters. */
  readonly flags: string;
}

/** What has changed of a layout. */
export interface ChangedExtents {
  /** First page of the range, counted from the start of the region. */
  readonly off: number;
  /** Its length in pages. */
  readonly n: number;
  /** Its extents now. */
  readonly extents: readonly LayoutExtent[];
}

/** Layouts by the names of their regions; each is a property, which lists it anew when it is read. */
export class ShownLayouts {
  readonly [name: string]: readonly LayoutExtent[];
  readonly #extents: ReadonlyMap<string, Runs<Extent>>;

  /** @param layouts name and extents of each region */
  constructor(layouts: readonly (readonly [name: string, extents: Runs<Extent>])[]) {
    this.#extents = new Map(layouts);
    for (const [name, extents] of layouts) {
      Object.defineProperty(this, name, { enumerable: true, get: () => listOf(extents) });
    }
  }

  /**
   * What a step has changed of the layout of a region.
   *
   * @param layouts what the step shows
   * @param name name of the region
   * @returns a range and its extents now, all that was there before being gone; undefined if the
   *   whole layout is new, or only that is known
   */
  static changed(
    layouts: Readonly<Record<string, readonly LayoutExtent[]>>,
    name: string,
  ): ChangedExtents | undefined {
    const known = #extents in layouts ? layouts.#extents.get(name) : undefined;
    const [from, to] = known?.changed ?? [0, Infinity];
    if (!known || to === Infinity) return undefined;
    return { off: from, n: to - from, extents: listOf(known.overlapping(from, to)) };
  }

  /**
   * The number of extents of a region.
   *
   * @param layouts what a step shows
   * @param name name of the region
   * @returns extents, without listing them where that is possible
   */
  static count(layouts: Readonly<Record<string, readonly LayoutExtent[]>>, name: string): number {
    const known = #extents in layouts ? layouts.#extents.get(name) : undefined;
    return known ? known.size : (layouts[name] ?? []).length;
  }

  /**
   * The extents of a region that have a page in a range.
   *
   * @param layouts what a step shows
   * @param name name of the region
   * @param from first page of the range, counted from the start of the region
   * @param to first page after it
   * @returns the extents, whole
   */
  static between(
    layouts: Readonly<Record<string, readonly LayoutExtent[]>>,
    name: string,
    from: number,
    to: number,
  ): Iterable<LayoutExtent> {
    const known = #extents in layouts ? layouts.#extents.get(name) : undefined;
    if (known) return listOf(known.overlapping(from, to));
    const list = layouts[name] ?? [];
    return list.filter(([off, , n]) => off < to && off + n > from);
  }
}

function listOf(extents: Iterable<Extent>): LayoutExtent[] {
  const list: LayoutExtent[] = [];
  for (const { at, pfn, npage, order, flags } of extents) list.push([at, pfn, npage, order, flags]);
  return list;
}
