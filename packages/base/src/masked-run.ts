/**
 * Tests of byte flags, sixteen at a time: what per-page loops over flags, orders and page-table
 * bits are made of. (Four at a time, `pinfold bench` needs 15 % longer to map 4 KiB pages.)
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
  let i = from;
  while (i < end && (i & 3) !== 0 && (bytes[i] & mask) === want) i++;
  if ((i & 3) === 0) i = wordRun(words, i >>> 2, end >>> 2, spread(mask), spread(want)) << 2;
  while (i < end && (bytes[i] & mask) === want) i++;
  return i - from;
}

/** A byte in all four places of a word. */
function spread(byte: number): number {
  return Math.imul(byte, 0x01010101);
}

/** Goes on from word to word, four a step, and returns the first that differs or lies at the end. */
function wordRun(
  words: Uint32Array,
  from: number,
  end: number,
  mask: number,
  want: number,
): number {
  let i = from;
  for (; i < end - 3; i += 4) {
    const first = words[i] ^ want;
    const second = words[i + 1] ^ want;
    const third = words[i + 2] ^ want;
    const fourth = words[i + 3] ^ want;
    if (((first | second | third | fourth) & mask) !== 0) break;
  }
  while (i < end && ((words[i] ^ want) & mask) === 0) i++;
  return i;
}
