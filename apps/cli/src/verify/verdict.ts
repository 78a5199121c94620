/** The verdict of `pinfold verify`, which its report begins with. */
import type { Summary } from '@pinfold/conformance';
import { formatCount } from '../table.ts';

/** Share of skipped step-levels from which on a run is no verification any more. */
const MAX_SKIPPED = 0.05;

/**
 * Whether so many step-levels were skipped that the rest verifies nothing.
 *
 * @param total all step-levels
 * @returns true for more than 5 %
 */
export function tooManySkipped({ passed, failed, skipped }: Summary['total']): boolean {
  return skipped > MAX_SKIPPED * (passed + failed + skipped);
}

/**
 * The verdict in a sentence or two.
 *
 * @param summary the sums
 * @param recordings number of recordings that were run
 * @param broken number of files that could not be
 * @param allowSkips whether any number of step-levels may be skipped
 * @returns the sentences
 */
export function verdictOf(
  { total, failures }: Summary,
  recordings: number,
  broken: number,
  allowSkips: boolean,
): string {
  const { passed, skipped } = total;
  const files = broken === 0 ? '' : ` ${countOf(broken, 'file')} could not be run, see stderr.`;
  const of = countOf(recordings, 'recording');
  if (failures.length > 0) {
    return `FAILED: of ${of}, ${formatCount(failures.length)} went otherwise on the model.${files}`;
  }
  if (passed === 0) return `FAILED: nothing of ${of} was compared.${files}`;
  if (tooManySkipped(total) && !allowSkips) {
    return `FAILED: more than 5 % of what ${of} show was skipped, which --allow-skips accepts.${files}`;
  }
  const part = skipped === 0 ? '' : `, as far as it was compared`;
  return `${broken === 0 ? 'passed' : 'FAILED'}: ${of}, everything as recorded${part}.${files}`;
}

function countOf(n: number, what: string): string {
  return `${formatCount(n)} ${what}${n === 1 ? '' : 's'}`;
}
