/** References and pins of every folio, counted anew. */
import { offsetIn, pagesOf, PMD_ORDER, type Pfn } from '@pinfold/base';
import type { MachineView } from '@pinfold/guest';
import { PG, PTE, VM, type MemMap, type MmStruct } from '@pinfold/mm';
import type { VfioDma } from '@pinfold/vfio-type1';
import { FolioTally } from '../audit/folio-tally.ts';
import type { FirstSeenDmas } from './first-seen.ts';
import { PagesInUse } from './pages-in-use.ts';
import type { Violations } from './violations.ts';

/** Counts what folios' counts ought to be: mappings, page caches, pins. */
export class FolioCounts {
  readonly #memmap: MemMap;
  readonly #tally: FolioTally;
  /** State entries of huge pages of files, and of mappings that have reservations of their own. */
  readonly #kept = new Set<number>();
  /** Entries that map a page of a large anonymous folio one by one, per page. */
  readonly #mapcount = new Map<Pfn, number>();
  /** First frame of the huge zero page. */
  #hugeZero: Pfn = -1;

  /** @param memmap the machine's memory map */
  constructor(memmap: MemMap) {
    this.#memmap = memmap;
    this.#tally = new FolioTally(memmap);
  }

  /**
   * Counts, and looks at what shows while counting.
   *
   * @param view the machine
   * @param dmas its mappings
   * @param seen how they were made
   * @param found told of what does not hold
   */
  count(
    { memory, files }: MachineView,
    dmas: readonly VfioDma[],
    seen: FirstSeenDmas,
    found: Violations,
  ): void {
    this.#tally.begin();
    this.#hugeZero = memory.hugeZeroPfn;
    this.#mapcount.clear();
    this.#kept.clear();
    for (const mm of memory.addressSpaces) this.#countEntries(mm, found);
    for (const file of files) {
      for (const pfn of file.cachedFolios) {
        this.#tally.addMapping(pfn);
        this.#kept.add(this.#memmap.headEntryOf(pfn));
      }
    }
    for (const dma of dmas) {
      for (const { pfn, npage, ram } of seen.of(dma, found).runs) {
        if (ram) this.#countPins(pfn, npage, found);
      }
      this.#countNodes(dma, found);
    }
    const [held, { pinsHeld }] = [this.#tally.pins, memory.vmstat];
    if (held === pinsHeld) return;
    found.add('pins acquired - released are those of the mappings', `${pinsHeld}, not ${held}`);
  }

  /**
   * Compares every folio's counts with what was counted.
   *
   * @param view the machine
   * @param found told of what does not hold
   * @returns the pages in use
   */
  check({ memory, ranges }: MachineView, found: Violations): PagesInUse {
    const { sectionBase, sectionStride, sectionPages, refcount, flags, order } = memory.memmap;
    const tally = this.#tally;
    const inUse = new PagesInUse(ranges);
    for (let section = 0; section < sectionBase.length; section++) {
      const base = sectionBase[section];
      const stride = sectionStride[section];
      const end = base < 0 ? base : base + (sectionPages >>> stride);
      for (let entry = base; entry < end; entry++) {
        if ((refcount[entry] | tally.mappingsAt(entry) | tally.pinsAt(entry)) === 0) continue;
        const pfn = section * sectionPages + ((entry - base) << stride);
        this.#checkFolio(pfn, entry, found);
        if (flags[entry] & PG.hugetlb) inUse.addHuge(order[entry], this.#kept.has(entry));
        else inUse.add(pfn, order[entry]);
      }
    }
    return inUse;
  }

  /**
   * How often a page is mapped: by itself if its folio is mapped page by page, else with it.
   *
   * @param pfn the page
   * @returns entries of page tables and of page caches
   */
  mappingsOf(pfn: Pfn): number {
    return this.#mapcount.get(pfn) ?? this.#tally.mappingsAt(this.#memmap.headEntryOf(pfn));
  }

  #countEntries({ vmas, pageTable }: MmStruct, found: Violations): void {
    const [memmap, tally] = [this.#memmap, this.#tally];
    for (const { start, end, flags } of vmas) {
      const reserves = (flags & (VM.HUGETLB | VM.SHARED | VM.NORESERVE)) === VM.HUGETLB;
      pageTable.forEachLeaf(start, end, (vpn, pfn, level, bits) => {
        if (bits & PTE.special) return;
        const head = memmap.headEntryOf(pfn);
        tally.addMapping(pfn);
        if (reserves) this.#kept.add(head);
        if (memmap.order[head] > PMD_ORDER * level) {
          this.#mapcount.set(pfn, (this.#mapcount.get(pfn) ?? 0) + 1);
        }
        if (memmap.refcount[head] <= 0 || memmap.order[head] < PMD_ORDER * level) {
          found.add('an entry maps a folio in use', `page ${vpn}, frame ${pfn}, level ${level}`);
        }
      });
    }
  }

  /** Every node of a page that devices have pinned holds one pin, however often they have. */
  #countNodes({ pfnList }: VfioDma, found: Violations): void {
    for (const { pfn, refCount, iovaPn } of pfnList) {
      this.#countPins(pfn, 1, found);
      if (refCount < 1) found.add('a pinned page has a reference', `iova page ${iovaPn}`);
    }
  }

  /** A folio has one pin per page of it that a mapping pinned. */
  #countPins(pfn: Pfn, npage: number, found: Violations): void {
    const memmap = this.#memmap;
    // Of the huge zero page, which no folio in use has, only the number of pins is kept.
    const isZero = pfn >= this.#hugeZero && pfn < this.#hugeZero + pagesOf(PMD_ORDER);
    if (isZero && memmap.refcount[memmap.headEntryOf(pfn)] === 0) {
      this.#tally.pins += npage;
      return;
    }
    this.#tally.addPins(pfn, npage);
    for (let at = pfn; at < pfn + npage;) {
      if (!memmap.longtermPinnable(at)) found.add('no longterm pin in movable memory', `${at}`);
      const order = memmap.order[memmap.headEntryOf(at)];
      at += pagesOf(order) - offsetIn(at, order);
    }
  }

  #checkFolio(pfn: Pfn, entry: number, found: Violations): void {
    const { order, refcount, pincount } = this.#memmap;
    const refs = this.#tally.referencesAt(entry);
    if (refcount[entry] !== refs) {
      found.add(
        'references are mappings, page cache and pins',
        `folio ${pfn}+${order[entry]} has ${refcount[entry]}, not ${refs}`,
      );
    }
    const pins = this.#tally.pinsAt(entry);
    if (pincount[entry] !== (order[entry] > 0 ? pins : 0)) {
      found.add(
        'pincounts of large folios are exact',
        `folio ${pfn}+${order[entry]} has ${pincount[entry]}, not ${pins}`,
      );
    }
  }
}
