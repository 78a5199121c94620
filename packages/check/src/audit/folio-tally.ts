/** Counting anew what references and pins folios ought to have. */
import { pagesOf, type Pfn } from '@pinfold/base';
import { GUP_PIN_COUNTING_BIAS, MemMap, PG } from '@pinfold/mm';
import { hex } from '@pinfold/scenario';

/** A folio whose counts are wrong. */
export interface WrongFolio {
  /** Its first frame. */
  readonly pfn: Pfn;
  readonly order: number;
  /** Pins too many; below 0: too few. */
  readonly pins: number;
  /** References besides pins too many; below 0: too few. */
  readonly refs: number;
}

function pinsOf({ order, refcount, pincount }: MemMap, entry: number): number {
  return order[entry] > 0 ? pincount[entry] : Math.floor(refcount[entry] / GUP_PIN_COUNTING_BIAS);
}

/** Counts per folio; only those that were ever counted are looked at. */
export class FolioTally {
  #memmap: MemMap;
  /** Folios that were ever counted: one frame of each. */
  readonly #folios = new Set<Pfn>();
  #mappings = new Int32Array(0);
  #pins = new Int32Array(0);
  readonly #touched: number[] = [];
  /** Pins that were counted. */
  pins = 0;

  /** @param memmap the machine's memory map; default: that of a machine without memory */
  constructor(memmap: MemMap = new MemMap([])) {
    this.#memmap = memmap;
  }

  /**
   * Turns to another machine; all that was counted is forgotten.
   *
   * @param memmap its memory map
   */
  reset(memmap: MemMap): void {
    this.begin();
    this.#folios.clear();
    this.#memmap = memmap;
  }

  /** Begins to count. */
  begin(): void {
    this.pins = 0;
    for (const entry of this.#touched) this.#mappings[entry] = this.#pins[entry] = 0;
    this.#touched.length = 0;
    const { length } = this.#memmap.refcount;
    if (this.#mappings.length >= length) return;
    this.#mappings = new Int32Array(length);
    this.#pins = new Int32Array(length);
  }

  /**
   * Counts a reference of a page table or a page cache.
   *
   * @param pfn a frame of the folio
   */
  addMapping(pfn: Pfn): void {
    this.#mappings[this.#entryOf(pfn)]++;
  }

  /**
   * Counts a pin of each of some frames.
   *
   * @param pfn the first frame that is pinned
   * @param npage frames
   */
  addPins(pfn: Pfn, npage: number): void {
    this.pins += npage;
    const end = pfn + npage;
    for (let at = pfn; at < end;) {
      const entry = this.#entryOf(at);
      const pages = pagesOf(this.#memmap.order[entry]);
      const next = Math.min(at - (at % pages) + pages, end);
      this.#pins[entry] += next - at;
      at = next;
    }
  }

  /**
   * What was counted of mappings.
   *
   * @param entry state entry of a folio
   * @returns references of page tables and page caches
   */
  mappingsAt(entry: number): number {
    return this.#mappings[entry];
  }

  /**
   * What was counted of pins.
   *
   * @param entry state entry of a folio
   * @returns its pins
   */
  pinsAt(entry: number): number {
    return this.#pins[entry];
  }

  /**
   * What the folio's refcount ought to be.
   *
   * @param entry its state entry
   * @returns references of mappings, and those that its pins hold
   */
  referencesAt(entry: number): number {
    const perPin = this.#memmap.order[entry] > 0 ? 1 : GUP_PIN_COUNTING_BIAS;
    return this.#mappings[entry] + this.#pins[entry] * perPin;
  }

  /**
   * Compares with the counts that the folios have.
   *
   * @returns the first folio, of those ever counted, whose counts differ
   */
  firstWrong(): WrongFolio | null {
    const { refcount, pincount, order } = this.#memmap;
    for (const pfn of this.#folios) {
      const entry = this.#memmap.headEntryOf(pfn);
      const large = order[entry] > 0;
      const pins = this.#pins[entry];
      const refs = this.referencesAt(entry);
      if (refcount[entry] === refs && pincount[entry] === (large ? pins : 0)) continue;
      const more = refcount[entry] - refs;
      const pinsMore = large ? pincount[entry] - pins : Math.round(more / GUP_PIN_COUNTING_BIAS);
      const rest = more - pinsMore * (large ? 1 : GUP_PIN_COUNTING_BIAS);
      const head = pfn - (pfn % 2 ** order[entry]);
      return { pfn: head, order: order[entry], pins: pinsMore, refs: rest };
    }
    return null;
  }

  /**
   * Says what is wrong.
   *
   * @param wrong the folio
   * @param owner who holds the folio
   * @returns one line
   */
  describe({ pfn, order, pins, refs }: WrongFolio, owner: string): string {
    const folio = `folio ${hex(pfn)} of order ${order} (${owner})`;
    if (pins > 0) return `${folio} has ${pins} leaked ${pins === 1 ? 'pin' : 'pins'}`;
    if (pins < 0)
      return `${folio} lacks ${-pins} ${pins === -1 ? 'pin' : 'pins'}, dropped twice or never taken`;
    return `${folio} has ${Math.abs(refs)} references too ${refs > 0 ? 'many' : 'few'}`;
  }

  /**
   * Compares the pins of the folios that were ever counted with those of another machine.
   *
   * @param other the other machine's memory map
   * @returns the first difference in one line; null without one
   */
  otherPins(other: MemMap): string | null {
    const own = this.#memmap;
    for (const pfn of this.#folios) {
      const pins = pinsOf(own, own.headEntryOf(pfn));
      const others = pinsOf(other, other.headEntryOf(pfn));
      if (pins === others) continue;
      return `${folioText(pfn)} has ${pins} pins, in the reference ${others}`;
    }
    return null;
  }

  /**
   * Looks for a folio that is dirty here and clean on another machine.
   *
   * @param other the other machine's memory map
   * @returns the first one in one line; null without one
   */
  dirtiedAlone(other: MemMap): string | null {
    const own = this.#memmap;
    for (const pfn of this.#folios) {
      const [a, b] = [own.headEntryOf(pfn), other.headEntryOf(pfn)];
      if (own.refcount[a] === 0 || !(own.flags[a] & PG.dirty) || other.flags[b] & PG.dirty)
        continue;
      // Whoever puts a page to pin it again makes it dirty while it is still mapped.
      if (pinsOf(own, a) === 0) return `${folioText(pfn)} is dirty, in the reference it is not`;
    }
    return null;
  }

  /**
   * Whether the same memory is in use on another machine. A call that is refused has faulted in what
   * it had come to, which is the algorithm's own matter: from then on frames may differ.
   *
   * @param other the other machine's memory map
   * @returns true if all folios that were ever counted have the same references, and none are more
   */
  sameMemory(other: MemMap): boolean {
    const own = this.#memmap;
    if (own.folios !== other.folios) return false;
    for (const pfn of this.#folios) {
      if (own.refcount[own.headEntryOf(pfn)] !== other.refcount[other.headEntryOf(pfn)])
        return false;
    }
    return true;
  }

  #entryOf(pfn: Pfn): number {
    const entry = this.#memmap.headEntryOf(pfn);
    if (this.#mappings[entry] === 0 && this.#pins[entry] === 0) {
      this.#touched.push(entry);
      this.#folios.add(pfn);
    }
    return entry;
  }
}

function folioText(pfn: Pfn): string {
  return `the folio of frame ${hex(pfn)}`;
}
