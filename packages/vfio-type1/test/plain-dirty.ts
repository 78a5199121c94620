/**
 * Dirty page logging in the plainest form: a mapping's bitmap is a list of booleans, and every rule
 * of the reference (type1.md §10) is applied bit by bit.
 */

/** A mapping and its bitmap. */
export interface PlainDirtyDma {
  readonly iovaPn: number;
  readonly npage: number;
  /** Pages that a device has pinned. */
  readonly pinned: Set<number>;
  /** Bits in whole words of 64, and one word more. */
  bits: boolean[];
}

/** Memory of the user: whole words. */
export type PlainMemory = boolean[];

const WORD = 64;

/** A length in bits, rounded up to whole words. */
function wholeWords(bits: number): number {
  return Math.ceil(bits / WORD) * WORD;
}

/** The mappings of a container that logs, and what reads of them show. */
export class PlainDirty {
  dmas: PlainDirtyDma[] = [];
  tracking = false;
  /** Groups behind an IOMMU that tell nothing. */
  blind = 0;

  map(iovaPn: number, npage: number): void {
    this.dmas.push({ iovaPn, npage, pinned: new Set(), bits: clean(npage) });
    this.dmas.sort((a, b) => a.iovaPn - b.iovaPn);
  }

  start(): void {
    if (this.tracking) return;
    this.tracking = true;
    for (const dma of this.dmas) {
      dma.bits = clean(dma.npage);
      addPins(dma);
    }
  }

  stop(): void {
    this.tracking = false;
  }

  /** A device pins a page, or writes to it. */
  dirty(iovaPn: number, pin: boolean): void {
    const dma = this.#at(iovaPn);
    if (pin) dma.pinned.add(iovaPn);
    if (this.tracking) dma.bits[iovaPn - dma.iovaPn] = true;
  }

  unpin(iovaPn: number): void {
    this.#at(iovaPn).pinned.delete(iovaPn);
  }

  /** A group that told nothing has left. */
  leave(): void {
    this.blind--;
    if (this.tracking) for (const dma of this.dmas) dma.bits.fill(true, 0, dma.npage);
  }

  /** GET_BITMAP into this memory; returns the name of an errno, or ok. */
  get(iovaPn: number, npage: number, memory: PlainMemory): string {
    if (!this.tracking || this.#cuts(iovaPn, npage)) return 'EINVAL';
    for (const dma of this.#inside(iovaPn, npage)) {
      if (!this.#read(dma, iovaPn, memory)) return 'EFAULT';
      dma.bits.fill(false, 0, dma.npage);
      addPins(dma);
    }
    return 'ok';
  }

  /** UNMAP with a bitmap, or without; returns the name of an errno, or ok. */
  unmap(iovaPn: number, npage: number, memory: PlainMemory | null): string {
    if ((memory && !this.tracking) || this.#cuts(iovaPn, npage)) return 'EINVAL';
    for (const dma of this.#inside(iovaPn, npage)) {
      if (memory && !this.#read(dma, iovaPn, memory)) return 'EFAULT';
      this.dmas = this.dmas.filter((other) => other !== dma);
    }
    return 'ok';
  }

  /** Writes a mapping's words to the user's memory; false if that ends too early. */
  #read(dma: PlainDirtyDma, basePn: number, memory: PlainMemory): boolean {
    const { bits } = dma;
    const offset = dma.iovaPn - basePn;
    const word = Math.floor(offset / WORD) * WORD;
    const shift = offset - word;
    const length = wholeWords(dma.npage + shift);
    if (this.blind > 0) bits.fill(true, 0, dma.npage);
    if (shift > 0) {
      // All words that take part move up as one; what leaves them at the top is lost.
      const moved = bits.slice(0, length);
      for (let i = 0; i < length; i++) bits[i] = i >= shift ? moved[i - shift] : false;
      if (memory.length < word + WORD) return false;
      for (let i = 0; i < WORD; i++) bits[i] ||= memory[word + i];
    }
    for (let i = 0; i < length; i++) {
      if (word + i >= memory.length) return false;
      memory[word + i] = bits[i];
    }
    return true;
  }

  #at(iovaPn: number): PlainDirtyDma {
    const dma = this.dmas.find(({ iovaPn: at, npage }) => at <= iovaPn && iovaPn < at + npage);
    if (!dma) throw new Error(`page ${iovaPn} is not mapped`);
    return dma;
  }

  #inside(iovaPn: number, npage: number): PlainDirtyDma[] {
    return this.dmas.filter(({ iovaPn: at }) => iovaPn <= at && at < iovaPn + npage);
  }

  #cuts(iovaPn: number, npage: number): boolean {
    return this.dmas.some((dma) => {
      const end = dma.iovaPn + dma.npage;
      const cut = (border: number): boolean => dma.iovaPn < border && border < end;
      return cut(iovaPn) || cut(iovaPn + npage);
    });
  }
}

function clean(npage: number): boolean[] {
  return Array.from({ length: wholeWords(npage) + WORD }, () => false);
}

function addPins({ iovaPn, bits, pinned }: PlainDirtyDma): void {
  for (const pn of pinned) bits[pn - iovaPn] = true;
}
