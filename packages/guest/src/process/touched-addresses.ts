/**
 * The addresses that a `touch` accesses, one after the other: worked out when they come up, so that
 * an access that ends in a signal ends the step, however long the range is.
 *
 * @source recordings README, "Scenario language" (`touch`)
 */
import { InputError, mulberry32, PAGE_SIZE, pageNumber, shuffle, type Vpn } from '@pinfold/base';
import type { TouchOperation } from '../operations/memory/touch.ts';

/** Accesses that one step can make: some ten seconds of work. */
export const MAX_ACCESSES: number = 2 ** 28;
/** Accesses in random order need a list of all of them. */
const MAX_SHUFFLED = 2 ** 22;

/** The accesses of one `touch`. */
export class TouchedAddresses {
  /** Number of accesses. */
  readonly count: number;
  /** Virtual page of the access that was selected last. */
  vpn: Vpn = 0;
  /** Its offset in that page, in bytes. */
  offset = 0;
  readonly #first: Vpn;
  readonly #firstOffset: number;
  readonly #stride: number;
  readonly #list: readonly number[] | null;
  readonly #reverse: boolean;

  /**
   * @param operation range, stride and order
   * @throws {InputError} when more than 2^22 accesses shall come in random order
   */
  constructor({ va, size, stride, pages, order, seed }: TouchOperation) {
    this.#first = pageNumber(va);
    this.#firstOffset = Number(va % BigInt(PAGE_SIZE));
    this.#stride = pages ? PAGE_SIZE : Number(stride);
    this.count = pages ? pages.length : Number((size + stride - 1n) / stride);
    this.#reverse = order === 'rev';
    this.#list = pages ?? null;
    if (order !== 'rand') return;
    if (this.count > MAX_SHUFFLED) {
      throw new InputError('touch order=rand', `at most ${MAX_SHUFFLED} accesses`, `${this.count}`);
    }
    const list = pages ? [...pages] : Array.from({ length: this.count }, (_, i) => i);
    shuffle(list, mulberry32(seed ?? 0));
    this.#list = list;
  }

  /**
   * Works out an access: afterwards `vpn` and `offset` say where it is.
   *
   * @param i its number, from 0
   */
  select(i: number): void {
    const at = this.#reverse ? this.count - 1 - i : i;
    const step = this.#list ? this.#list[at] : at;
    // Pages and bytes apart: an address can have more bits than a number has.
    const stridePages = Math.floor(this.#stride / PAGE_SIZE);
    const bytes = step * (this.#stride - stridePages * PAGE_SIZE) + this.#firstOffset;
    const more = Math.floor(bytes / PAGE_SIZE);
    this.vpn = this.#first + step * stridePages + more;
    this.offset = bytes - more * PAGE_SIZE;
  }
}
