/**
 * Arrays of page numbers. A page number needs 52 bits, but almost every machine's fit 31: such an
 * array is half as large, and loops over it work on machine integers. Code that reads or writes an
 * array of either kind is the same.
 */

/** Page numbers, page frames or page pointers, in 32 bits where all of them fit. */
export type PageNumbers = Int32Array | Float64Array;

/** First page number that a narrow array cannot hold: 2^31 pages are 8 TiB. */
export const NARROW_END: number = 2 ** 31;

/**
 * Makes an array for page numbers.
 *
 * @param length number of elements
 * @param end a bound: every number that will be stored is below it
 * @returns a narrow array if the bound allows it, else one of doubles; all elements 0
 */
export function pageNumbers(length: number, end: number): PageNumbers {
  return end <= NARROW_END ? new Int32Array(length) : new Float64Array(length);
}
