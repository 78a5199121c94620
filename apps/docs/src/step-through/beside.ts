/**
 * Two algorithms side by side: where the second one stands when the first one is at a step. It is as
 * far in the memory, and in the same call if it makes that call there.
 */
import { Col, progressOf, ROW, type StepLog } from './steps.ts';

/** A step of the first algorithm, as far as it matters. */
export interface Target {
  /** How far it has come: {@link progressOf}. */
  readonly progress: number;
  /** Index of its function. */
  readonly fn: number;
  /** What kind of step it is. */
  readonly kind: number;
}

/**
 * What matters of a step.
 *
 * @param row its row
 * @param npage length of the mapping in pages
 * @returns what a step of another algorithm is compared with
 */
export function targetOf(row: Float64Array, npage: number): Target {
  return { progress: progressOf(row, npage), fn: row[Col.fn], kind: row[Col.kind] };
}

/**
 * Looks at the steps of the second algorithm from the first on: of those that are as far as the
 * target, the first in the same function, else the first; if there is none, the last before.
 */
export class BesideSearch {
  /** Number of the best step so far. */
  found = 0;
  readonly #target: Target;
  readonly #npage: number;
  #isAsFar = false;

  /**
   * @param target the step of the first algorithm
   * @param npage length of the mapping in pages
   */
  constructor(target: Target, npage: number) {
    this.#target = target;
    this.#npage = npage;
  }

  /**
   * Looks at a step.
   *
   * @param index its number
   * @param row its row
   * @returns true if no later one can be better
   */
  see(index: number, row: Float64Array): boolean {
    const { progress, fn, kind } = this.#target;
    const at = progressOf(row, this.#npage);
    if (at > progress) return true;
    if (at < progress) {
      this.found = index;
      return false;
    }
    if (!this.#isAsFar) this.found = index;
    this.#isAsFar = true;
    if (row[Col.fn] !== fn || row[Col.kind] !== kind) return false;
    this.found = index;
    return true;
  }
}

/**
 * The same among the steps of a window.
 *
 * @param log a window of all steps
 * @param target the step of the first algorithm
 * @param npage length of the mapping in pages
 * @param lastStep number of the last step of all
 * @returns number of the step; null if the window does not tell
 */
export function besideIn(
  { indices, rows }: StepLog,
  target: Target,
  npage: number,
  lastStep: number,
): number | null {
  const rowAt = (i: number): Float64Array => rows.subarray(i * ROW, (i + 1) * ROW);
  let low = 0;
  let high = indices.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (progressOf(rowAt(middle), npage) < target.progress) low = middle + 1;
    else high = middle;
  }
  // Steps before the window may be as far, too.
  if (low === 0 && indices[0] > 0) return null;
  const search = new BesideSearch(target, npage);
  for (let i = Math.max(0, low - 1); i < indices.length; i++)
    if (search.see(indices[i], rowAt(i))) return search.found;
  return indices[indices.length - 1] === lastStep ? search.found : null;
}
