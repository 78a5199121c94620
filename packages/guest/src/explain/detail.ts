/** The values that a failed check saw. */
import { byteAddress } from '@pinfold/base';
import { type Failure, hex } from '@pinfold/scenario';

/** The values of a failed check, read by name. */
export class Detail {
  readonly #detail: Failure['detail'];

  /** @param detail the values */
  constructor(detail: Failure['detail']) {
    this.#detail = detail;
  }

  /**
   * A value as text.
   *
   * @param name its name
   * @returns the text; empty if the check did not see such a value
   */
  text(name: string): string {
    return String(this.#detail[name] ?? '');
  }

  /**
   * A value as a number.
   *
   * @param name its name
   * @returns the number
   */
  number(name: string): number {
    return Number(this.#detail[name] ?? NaN);
  }

  /**
   * A page number, or a number of pages, in bytes.
   *
   * @param name its name
   * @returns bytes in hex
   */
  bytes(name: string): string {
    return hex(byteAddress(this.number(name)));
  }
}
