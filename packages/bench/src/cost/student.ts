/** Quantiles of Student's t distribution. */
import { probit } from 'simple-statistics';

/**
 * The quantile, by the expansion of Cornish and Fisher: right to 0.1 % from 4 degrees on.
 *
 * @param probability probability below it, in (0, 1)
 * @param degrees degrees of freedom, at least 4
 * @returns the quantile
 */
export function tQuantile(probability: number, degrees: number): number {
  const z = probit(probability);
  const z2 = z * z;
  const g1 = (z * (z2 + 1)) / 4;
  const g2 = (z * ((5 * z2 + 16) * z2 + 3)) / 96;
  const g3 = (z * (((3 * z2 + 19) * z2 + 17) * z2 - 15)) / 384;
  const g4 = (z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945)) / 92_160;
  return z + (((g4 / degrees + g3) / degrees + g2) / degrees + g1) / degrees;
}
