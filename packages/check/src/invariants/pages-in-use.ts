/** Where the pages in use lie, added up folio by folio. */
import { pagesOf, type Pfn } from '@pinfold/base';
import type { MemoryRange, ZoneName } from '@pinfold/mm';

/** First page frame above DMA32. */
const DMA32_END = 2 ** 20;

/** Pages per zone, and huge pages per order. */
export class PagesInUse {
  readonly #ranges: readonly MemoryRange[];
  readonly #zones = new Map<ZoneName, number>();
  readonly #huge = new Map<number, number>();
  readonly #dropped = new Map<number, number>();

  /** @param ranges physical memory */
  constructor(ranges: readonly MemoryRange[]) {
    this.#ranges = ranges;
  }

  /**
   * Adds a folio that is no huge page.
   *
   * @param pfn its first frame
   * @param order its order
   */
  add(pfn: Pfn, order: number): void {
    add(this.#zones, zoneOf(this.#ranges, pfn), pagesOf(order));
  }

  /**
   * Adds a huge page of hugetlb.
   *
   * @param order its order
   * @param kept whether a file, or a mapping that has reservations of its own, has it
   */
  addHuge(order: number, kept: boolean): void {
    add(this.#huge, order, 1);
    if (!kept) add(this.#dropped, order, 1);
  }

  /**
   * Pages of folios that are no huge pages.
   *
   * @param zone the zone in which they lie
   * @returns pages
   */
  ofZone(zone: ZoneName): number {
    return this.#zones.get(zone) ?? 0;
  }

  /**
   * Huge pages of hugetlb.
   *
   * @param order their order
   * @returns huge pages
   */
  huge(order: number): number {
    return this.#huge.get(order) ?? 0;
  }

  /**
   * Huge pages that nothing but pins, or children, have.
   *
   * @param order their order
   * @returns huge pages
   */
  dropped(order: number): number {
    return this.#dropped.get(order) ?? 0;
  }
}

function zoneOf(ranges: readonly MemoryRange[], pfn: Pfn): ZoneName {
  const range = ranges.find(
    (candidate) => pfn >= candidate.pfn && pfn < candidate.pfn + candidate.npage,
  );
  if (range?.zone === 'movable') return 'MOVABLE';
  return pfn < DMA32_END ? 'DMA32' : 'NORMAL';
}

function add<Key>(counts: Map<Key, number>, key: Key, n: number): void {
  counts.set(key, (counts.get(key) ?? 0) + n);
}
