/**
 * VT-d second-level tables in the plainest form: one map per level from entry number to what the
 * entry holds. Slow, and written after the kernel's recursion, not after the sources under test.
 *
 * @source drivers/iommu/intel/iommu.c __domain_mapping, dma_pte_clear_level, intel_iommu_unmap, 6.16
 */
import type { IoLeaf } from '../src/formats/format.ts';

/** Pages of one entry per level. */
const ENTRY_PAGES = [0, 9, 18, 27, 36].map((order) => 2 ** order);

/** What an entry holds: a table, or a leaf. Absent entries are not in the map. */
type Entry = 'table' | { readonly pfn: number; readonly prot: number };

/** A page table, with counts of what was done to it. */
export class PlainVtd {
  readonly #top: number;
  readonly #maxLeafLevel: number;
  readonly #entries: Map<number, Entry>[];
  /** Tables allocated, tables freed and range flushes so far. */
  readonly counts = { allocs: 0, frees: 0, flushes: 0 };

  /**
   * @param addressWidth 39, 48 or 57
   * @param superpages number of superpage sizes: 0 to 2
   */
  constructor(addressWidth: number, superpages = 2) {
    this.#top = (addressWidth - 12) / 9 - 1;
    this.#maxLeafLevel = superpages;
    this.#entries = Array.from({ length: this.#top + 1 }, () => new Map<number, Entry>());
  }

  /** Table pages in use, the root included. */
  get tables(): number {
    return (
      1 +
      this.#entries.reduce(
        (sum, level) => sum + [...level.values()].filter((e) => e === 'table').length,
        0,
      )
    );
  }

  map(iovaPn: number, pfn: number, npage: number, prot: number): void {
    for (let done = 0; done < npage;) {
      const [iova, frame, left] = [iovaPn + done, pfn + done, npage - done];
      let level = 0;
      while (level < this.#maxLeafLevel && this.#fits(level + 1, iova, frame, left)) level++;
      for (let above = this.#top; above > level; above--) this.#ensureTable(above, iova);
      const entry = Math.floor(iova / ENTRY_PAGES[level]);
      if (this.#entries[level].get(entry) === 'table') {
        this.#removeTable(level, entry);
        this.counts.flushes++;
      }
      this.#entries[level].set(entry, { pfn: frame, prot });
      done += ENTRY_PAGES[level];
    }
  }

  /** Unmaps as unmap_pages does; returns the pages that it reports. */
  unmap(iovaPn: number, npage: number): number {
    const size = Math.max(npage, ENTRY_PAGES[this.#levelAt(iovaPn)]);
    this.#clear(this.#top, 0, iovaPn, iovaPn + size - 1);
    return size;
  }

  /** The leaf that covers a page, if any. */
  leafAt(iovaPn: number): IoLeaf | null {
    for (let level = this.#maxLeafLevel; level >= 0; level--) {
      const number = Math.floor(iovaPn / ENTRY_PAGES[level]);
      const entry = this.#entries[level].get(number);
      if (entry && entry !== 'table') {
        return {
          iovaPn: number * ENTRY_PAGES[level],
          order: 9 * level,
          pfn: entry.pfn,
          prot: entry.prot,
        };
      }
    }
    return null;
  }

  /** Frame of a page, 0 if there is none. */
  iovaToPhys(iovaPn: number): number {
    const leaf = this.leafAt(iovaPn);
    return leaf ? leaf.pfn + iovaPn - leaf.iovaPn : 0;
  }

  /** Levels that a walk from the root reads. */
  levelsRead(iovaPn: number): number {
    return this.#top - this.#levelAt(iovaPn) + 1;
  }

  leaves(): IoLeaf[] {
    const leaves = this.#entries.flatMap((entries, level) =>
      [...entries].flatMap(([number, entry]) =>
        entry === 'table'
          ? []
          : [
              {
                iovaPn: number * ENTRY_PAGES[level],
                order: 9 * level,
                pfn: entry.pfn,
                prot: entry.prot,
              },
            ],
      ),
    );
    return leaves.sort((a, b) => a.iovaPn - b.iovaPn);
  }

  #fits(level: number, iova: number, pfn: number, npage: number): boolean {
    const pages = ENTRY_PAGES[level];
    return iova % pages === 0 && pfn % pages === 0 && npage >= pages;
  }

  #ensureTable(level: number, iova: number): void {
    const entry = Math.floor(iova / ENTRY_PAGES[level]);
    if (this.#entries[level].has(entry)) return;
    this.#entries[level].set(entry, 'table');
    this.counts.allocs++;
  }

  /** Removes a table with all that lies below it. */
  #removeTable(level: number, entry: number): void {
    this.#entries[level].delete(entry);
    this.counts.frees++;
    for (let below = entry * 512; below < (entry + 1) * 512; below++) {
      if (this.#entries[level - 1].get(below) === 'table') this.#removeTable(level - 1, below);
      else this.#entries[level - 1].delete(below);
    }
  }

  #levelAt(iovaPn: number): number {
    for (let level = this.#top; level > 0; level--) {
      if (this.#entries[level].get(Math.floor(iovaPn / ENTRY_PAGES[level])) !== 'table')
        return level;
    }
    return 0;
  }

  #clear(level: number, from: number, start: number, last: number): void {
    const pages = ENTRY_PAGES[level];
    const first = Math.max(from, Math.floor(start / pages));
    const end = Math.min(from + 511, Math.floor(last / pages));
    for (let entry = first; entry <= end; entry++) {
      const held = this.#entries[level].get(entry);
      if (held === undefined) continue;
      if (start <= entry * pages && last >= (entry + 1) * pages - 1) {
        if (held === 'table') this.#removeTable(level, entry);
        else this.#entries[level].delete(entry);
      } else if (held === 'table') this.#clear(level - 1, entry * 512, start, last);
    }
  }
}
