/** Numbers in hex, as the recordings and the scenario language write them. */
import { byteAddress } from '@pinfold/base';

/**
 * A number in hex.
 *
 * @param value the number, 0 or more
 * @returns for example `0x1000`
 */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/**
 * A page number, or a number of pages, as bytes in hex.
 *
 * @param pn number of pages
 * @returns for example `0x1000`
 */
export function hexPages(pn: number): string {
  return hex(byteAddress(pn));
}
