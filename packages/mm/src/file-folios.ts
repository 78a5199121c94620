/**
 * The folios of a file that the page cache holds (the i_pages of struct address_space). Who maps them
 * and holds references is not known here.
 *
 * @source include/linux/fs.h struct address_space, 6.16
 */
import { ModelBug, offsetIn, pagesOf, type Pfn } from '@pinfold/base';

/** A folio in the cache. */
export interface CachedFolio {
  /** Page of the file that its first page holds. */
  readonly pgoff: number;
  /** Its length in pages. */
  readonly npage: number;
}

/** Folios by page of the file, and by frame. */
export class FileFolios {
  /** The page size of the file, as an order: 0, or that of hugetlbfs. */
  readonly #order: number;
  /** First frame of every page of the page size, by the page of the file. */
  readonly #frames = new Map<number, Pfn>();
  readonly #folios = new Map<Pfn, CachedFolio>();

  /** @param order the page size of the file, as an order */
  constructor(order: number) {
    this.#order = order;
  }

  /** Number of folios. */
  get size(): number {
    return this.#folios.size;
  }

  /** First frame of every folio. */
  get pfns(): Iterable<Pfn> {
    return this.#folios.keys();
  }

  /** First frame and place of every folio, at this moment. */
  get entries(): readonly (readonly [Pfn, CachedFolio])[] {
    return [...this.#folios];
  }

  /**
   * The frame of a page.
   *
   * @param pgoff page of the file
   * @returns its frame, or undefined where the cache has a hole
   */
  frameAt(pgoff: number): Pfn | undefined {
    const offset = offsetIn(pgoff, this.#order);
    const pfn = this.#frames.get(pgoff - offset);
    return pfn === undefined ? undefined : pfn + offset;
  }

  /**
   * Whether the cache has a page of a range.
   *
   * @param pgoff first page of the file
   * @param npage length in pages
   * @returns true if one is there
   */
  hasIn(pgoff: number, npage: number): boolean {
    for (let i = 0; i < npage; i++) if (this.#frames.has(pgoff + i)) return true;
    return false;
  }

  /**
   * Puts a folio into the cache.
   *
   * @param pfn its first frame
   * @param pgoff page of the file that its first page holds
   * @param npage its length in pages
   */
  add(pfn: Pfn, pgoff: number, npage: number): void {
    this.#folios.set(pfn, { pgoff, npage });
    for (let i = 0; i < npage; i += pagesOf(this.#order)) this.#frames.set(pgoff + i, pfn + i);
  }

  /**
   * Takes a folio out of the cache.
   *
   * @param pfn its first frame
   */
  remove(pfn: Pfn): void {
    const { pgoff, npage } = this.#folioAt(pfn);
    this.#folios.delete(pfn);
    for (let i = 0; i < npage; i += pagesOf(this.#order)) this.#frames.delete(pgoff + i);
  }

  /**
   * Takes note that a folio was moved to other frames.
   *
   * @param from its first frame until now
   * @param to its first frame from now on
   * @source mm/migrate.c folio_migrate_mapping, 6.16
   */
  move(from: Pfn, to: Pfn): void {
    const { pgoff, npage } = this.#folioAt(from);
    this.#folios.delete(from);
    this.add(to, pgoff, npage);
  }

  /** Forgets all folios. */
  clear(): void {
    this.#folios.clear();
    this.#frames.clear();
  }

  #folioAt(pfn: Pfn): CachedFolio {
    const folio = this.#folios.get(pfn);
    if (!folio) throw new ModelBug(`frame ${pfn} is not in the page cache of the file`);
    return folio;
  }
}
