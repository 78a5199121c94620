/** How the checker makes operations smaller: numbers and ranges that ask for less. */

/** Bytes of a page. */
export const PAGE = 4096n;

/**
 * Pages that a size has.
 *
 * @param size bytes
 * @returns whole pages
 */
export function pagesIn(size: bigint): number {
  return Number(size / PAGE);
}

/**
 * Smaller numbers: small ones, then the middle, and ever nearer, so that few steps lead to any.
 *
 * @param n the number
 * @returns numbers below it, from 1 on
 */
export function smallerThan(n: number): number[] {
  const numbers = new Set([1, 2, 3, 4]);
  for (let less = n >> 1; less > 0; less >>= 1) numbers.add(n - less);
  return [...numbers].filter((smaller) => smaller < n);
}

/**
 * An operation on a range of memory, on its first page alone.
 *
 * @param operation the operation
 * @returns it on one page; nothing if it is on one
 */
export function onePage<Ranged extends { readonly size: bigint }>(operation: Ranged): Ranged[] {
  return operation.size > PAGE ? [{ ...operation, size: PAGE }] : [];
}

/**
 * How hard an address is to read.
 *
 * @param address the address in bytes
 * @returns digits that it needs in hex, without zeros at its end
 */
export function addressCost(address: bigint): number {
  return address.toString(16).replace(/0+$/, '').length + (address === 0n ? 0 : 1);
}
