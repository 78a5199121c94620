/**
 * Storage for page tables, for CPU and IOMMU formats alike: every table is a slice of a few large
 * typed arrays, so that a walk is one load per level and no object is touched.
 *
 * Tables are numbered from 1; entry i of table t is element `(t << tableBits) + i`. Number 0 means "no
 * table", so that a zeroed entry is an absent one. A format keeps directories (whose entries point
 * to tables or are large leaves) and last-level tables in two arenas; only the former has `child`.
 */
import { ModelBug } from './errors.ts';
import { NARROW_END, pageNumbers, type PageNumbers } from './page-numbers.ts';

/** Value of a `child` entry that is a large leaf: look into `frame` and `bits`. */
export const LEAF = -1;

/** Tables that a pool has room for at first, number 0 included; and the least that it grows by. */
const FIRST_TABLES = 4;

/** A growing pool of page tables. */
export class TableArena {
  /** Per entry: table number of the next level, {@link LEAF}, or 0; empty without directories. */
  child: Int32Array;
  /** Per entry: first page frame of the leaf (pages). */
  frame: PageNumbers;
  /** Per entry: the format's flag bits; 0 is "not present". */
  bits: Uint8Array;
  /** The same bits, four entries a word, to test four at a time. */
  words: Uint32Array;
  /** Tables in use. */
  live = 0;
  /** log2 of the entries of a table. */
  readonly tableBits: number;
  readonly #directories: boolean;
  #capacity: number;
  #frameEnd = 0;
  #next = 1;
  readonly #free: number[] = [];

  /**
   * @param directories whether entries may point to further tables
   * @param tableBits log2 of the entries of a table, at least 2
   */
  constructor(directories: boolean, tableBits: number) {
    this.#directories = directories;
    this.tableBits = tableBits;
    // Every table has a top directory; last-level tables come with the first page.
    this.#capacity = directories ? FIRST_TABLES : 1;
    const entries = directories ? this.#capacity * 2 ** tableBits : 0;
    const buffer = new ArrayBuffer(9 * entries);
    this.child = new Int32Array(buffer, 0, entries);
    this.frame = new Int32Array(buffer, 4 * entries, entries);
    this.bits = new Uint8Array(buffer, 8 * entries, entries);
    this.words = new Uint32Array(buffer, 8 * entries, entries / 4);
  }

  /**
   * A table with all entries absent.
   *
   * @returns its number, from 1
   */
  alloc(): number {
    this.live++;
    const reused = this.#free.pop();
    if (reused !== undefined) {
      this.#clear(reused);
      return reused;
    }
    if (this.#next === this.#capacity)
      this.reserve(Math.max(FIRST_TABLES, Math.ceil(this.#capacity / 4)));
    return this.#next++;
  }

  /**
   * Gives a table back; its entries are forgotten.
   *
   * @param table a table number from {@link alloc}
   */
  free(table: number): void {
    if (table <= 0 || table >= this.#next)
      throw new ModelBug(`freeing table ${table}, which does not exist`);
    this.live--;
    this.#free.push(table);
  }

  /**
   * Makes room beforehand, so that filling a large range does not copy the arrays again and again.
   *
   * @param tables number of tables that will be allocated
   */
  reserve(tables: number): void {
    const need = this.#next + tables - this.#free.length;
    if (need <= this.#capacity) return;
    this.#capacity = need;
    const entries = need * 2 ** this.tableBits;
    if (this.#directories) this.child = grown(this.child, new Int32Array(entries));
    this.frame = grown(this.frame, pageNumbers(entries, this.#frameEnd));
    this.bits = grown(this.bits, new Uint8Array(entries));
    this.words = new Uint32Array(this.bits.buffer);
  }

  /**
   * Makes sure that frames up to a bound can be stored; call it before storing them.
   *
   * @param end a bound: the frames are below it
   */
  admitFrames(end: number): void {
    if (end <= this.#frameEnd) return;
    this.#frameEnd = end;
    if (end > NARROW_END && this.frame instanceof Int32Array) {
      this.frame = grown(this.frame, pageNumbers(this.frame.length, end));
    }
  }

  #clear(table: number): void {
    const from = table * 2 ** this.tableBits;
    const to = from + 2 ** this.tableBits;
    if (this.#directories) this.child.fill(0, from, to);
    this.frame.fill(0, from, to);
    this.bits.fill(0, from, to);
  }
}

function grown<T extends PageNumbers | Uint8Array>(old: PageNumbers | Uint8Array, larger: T): T {
  larger.set(old);
  return larger;
}
