/**
 * A bitmap in 64-bit words: the kernel's own of a mapping, and the one that the user gives an ioctl
 * to fill. What the kernel does with whole words is done with whole words here too, because bits
 * behind the last one that counts take part in it and are seen again.
 *
 * @source include/linux/bitmap.h, lib/bitmap.c, 6.16
 */

/** Bits of a word (BITS_PER_LONG). */
export const WORD_BITS = 64;

/** Bits in words of 64, all 0 at first. */
export class DirtyBitmap {
  /** The bits, low half of every word first; always whole words. */
  readonly #halves: Uint32Array;

  /** @param bits its length in bits; rounded up to whole words */
  constructor(bits: number) {
    this.#halves = new Uint32Array(2 * Math.ceil(bits / WORD_BITS));
  }

  /** Its length in bits, a multiple of 64. */
  get bits(): number {
    return this.#halves.length * 32;
  }

  /** Number of set bits. */
  get set(): number {
    let set = 0;
    for (const [, count] of this.runs()) set += count;
    return set;
  }

  /**
   * Whether a bit is set.
   *
   * @param bit number of the bit
   * @returns true if it is; false behind the end too
   */
  has(bit: number): boolean {
    return (((this.#halves[Math.floor(bit / 32)] ?? 0) >>> (bit % 32)) & 1) === 1;
  }

  /**
   * Sets bits (bitmap_set), as far as the bitmap goes.
   *
   * @param first first bit
   * @param count number of bits
   */
  fill(first: number, count: number): void {
    this.#write(first, first + count, -1);
  }

  /**
   * Clears bits (bitmap_clear), as far as the bitmap goes.
   *
   * @param first first bit
   * @param count number of bits
   */
  clear(first: number, count: number): void {
    this.#write(first, first + count, 0);
  }

  /**
   * Moves bits up in place (bitmap_shift_left). Every word that holds one of the first `count` bits
   * moves as a whole, with what it holds behind them; what leaves the last of these words is lost.
   *
   * @param shift places to move by, 1 to 63
   * @param count bits that matter after the move
   */
  shiftLeft(shift: number, count: number): void {
    const halves = this.#halves;
    const skip = shift >>> 5;
    const rest = shift & 31;
    for (let i = 2 * Math.ceil(count / WORD_BITS) - 1; i >= 0; i--) {
      const upper = i >= skip ? halves[i - skip] << rest : 0;
      // A shift by 32 would be one by 0.
      const lower = rest > 0 && i > skip ? halves[i - skip - 1] >>> (32 - rest) : 0;
      halves[i] = upper | lower;
    }
  }

  /**
   * Adds the bits of a word of another bitmap to the first word of this one (bitmap_or of at most
   * 64 bits, which works on the whole word).
   *
   * @param from the other bitmap
   * @param word number of its word
   * @returns false if it ends before the word: nothing is done
   */
  orFirstWord(from: DirtyBitmap, word: number): boolean {
    if (from.bits < (word + 1) * WORD_BITS) return false;
    this.#halves[0] |= from.#halves[2 * word];
    this.#halves[1] |= from.#halves[2 * word + 1];
    return true;
  }

  /**
   * Copies the words that hold the first bits over those of another bitmap (copy_to_user).
   *
   * @param to the other bitmap
   * @param word number of its word where the copy begins
   * @param count number of bits; all bits of the last word go along
   * @returns false if the other bitmap ends before that: it is overwritten up to its end
   */
  copyTo(to: DirtyBitmap, word: number, count: number): boolean {
    const wanted = 2 * Math.ceil(count / WORD_BITS);
    const room = Math.max(0, to.#halves.length - 2 * word);
    to.#halves.set(this.#halves.subarray(0, Math.min(wanted, room)), room > 0 ? 2 * word : 0);
    return room >= wanted;
  }

  /**
   * The set bits as runs, in order.
   *
   * @returns pairs of first bit and number of bits
   */
  *runs(): Generator<readonly [first: number, count: number], void> {
    let first = this.#find(0, 0);
    while (first < this.bits) {
      const end = this.#find(first, -1);
      yield [first, end - first];
      first = this.#find(end, 0);
    }
  }

  /** Number of the first set bit (flip 0) or clear bit (flip -1) from one on; the length if none. */
  #find(from: number, flip: number): number {
    const halves = this.#halves;
    let i = Math.floor(from / 32);
    if (i >= halves.length) return this.bits;
    let half = (halves[i] ^ flip) & (-1 << (from % 32));
    while (half === 0) {
      if (++i === halves.length) return this.bits;
      half = halves[i] ^ flip;
    }
    return 32 * i + 31 - Math.clz32(half & -half);
  }

  /** Writes all ones or all zeros to bits from one up to another, exclusive. */
  #write(first: number, end: number, value: number): void {
    const halves = this.#halves;
    const stop = Math.min(end, this.bits);
    if (first >= stop) return;
    const from = Math.floor(first / 32);
    const last = Math.floor((stop - 1) / 32);
    const head = -1 << (first % 32);
    const tail = -1 >>> (31 - ((stop - 1) % 32));
    if (from === last) {
      halves[from] = (halves[from] & ~(head & tail)) | (value & head & tail);
      return;
    }
    halves[from] = (halves[from] & ~head) | (value & head);
    halves.fill(value, from + 1, last);
    halves[last] = (halves[last] & ~tail) | (value & tail);
  }
}
