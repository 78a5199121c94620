/** Amounts as people set them. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
const KIB = 1024;

/**
 * An amount in its largest unit with at most two digits after the point.
 *
 * @param bytes the amount
 * @returns such as `3 GiB` or `29.5 MiB`
 */
export function amount(bytes: bigint | number): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${Number(value.toFixed(2))} ${UNITS[unit]}`;
}

/**
 * An amount in KiB, as `ulimit -l` wants it.
 *
 * @param bytes the amount
 * @returns KiB, rounded up
 */
export function kib(bytes: bigint | number): number {
  return Math.ceil(Number(bytes) / KIB);
}
