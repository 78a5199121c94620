/**
 * Tests of byte flags, four at a time: what per-page loops over flags, orders and page-table bits
 * are made of.
 */

/**
 * How many bytes, from one on, have the wanted value under a mask.
 *
 * @param bytes the bytes, of an array whose buffer begins with it
 * @param words the same buffer as 32-bit words
 * @param from index of the first byte
 * @param end index after the last byte to look at
 * @param mask bits that count, 0 to 255
 * @param want their wanted value
 * @returns 0 to end - from
 */
export function maskedRun(
  bytes: Uint8Array,
  words: Uint32Array,
  from: number,
  end: number,
  mask: number,
  want: number,
): number {
  const mask4 = Math.imul(mask, 0x01010101);
  const want4 = Math.imul(want, 0x01010101);
  let i = from;
  while (i < end && (i & 3) !== 0 && (bytes[i] & mask) === want) i++;
  if ((i & 3) === 0) while (i < end - 3 && (words[i >>> 2] & mask4) === want4) i += 4;
  while (i < end && (bytes[i] & mask) === want) i++;
  return i - from;
}
