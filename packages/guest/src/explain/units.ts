/** Amounts of memory in the units in which limits and sizes are set. */

/** Bytes of each unit, the largest first. */
const UNITS = [
  ['TiB', 2n ** 40n],
  ['GiB', 2n ** 30n],
  ['MiB', 2n ** 20n],
  ['KiB', 2n ** 10n],
] as const;

/**
 * A number of bytes.
 *
 * @param bytes the number
 * @returns in the largest unit of which it is a multiple: `64 MiB`, `12 bytes`
 */
export function sizeText(bytes: bigint): string {
  const unit = UNITS.find(([, size]) => bytes !== 0n && bytes % size === 0n);
  return unit ? `${bytes / unit[1]} ${unit[0]}` : `${bytes} bytes`;
}

/**
 * A number of pages of 4 KiB.
 *
 * @param pages the number
 * @returns with the bytes that they have: `16 pages (64 KiB)`
 */
export function pagesText(pages: number): string {
  return `${pages} ${pages === 1 ? 'page' : 'pages'} (${sizeText(BigInt(pages) * 4096n)})`;
}

/**
 * A number of things.
 *
 * @param n the number
 * @param one what one of them is called
 * @returns with an s where there is more than one
 */
export function countText(n: number, one: string): string {
  return `${n} ${one}${n === 1 ? '' : 's'}`;
}
