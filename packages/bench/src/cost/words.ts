/** Words of reports. */

/**
 * A number of things.
 *
 * @param n how many
 * @param what one of them is called
 * @returns for example `1 thread`, `2 threads`
 */
export function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
