/** Release series and their order. */

/**
 * Orders series: 6.9 is older than 6.18.
 *
 * @param series for example `6.18`
 * @returns a number that is larger the newer the series is
 */
export function seriesNumber(series: string): number {
  const [major = 0, minor = 0] = series.split('.').map(Number);
  return major * 1000 + minor;
}
