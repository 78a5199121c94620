/** What a check finds. */

/** The rules that every algorithm has to keep, each with the words that name it in a finding. */
export const INVARIANTS = {
  crash: 'the kernel does not crash',
  model: 'the model holds together',
  reach: 'a device reaches the pages of its mapping and no others',
  order: 'nothing is unpinned that a device can still reach',
  scan: 'an unmap takes only what is contiguous',
  pins: 'what a device reaches is pinned, and nothing else is',
  folio: 'counts of folios are exact',
  charge: 'locked_vm is exact',
  dirty: 'dirty pages and dirty bitmaps are exact',
  warning: 'the kernel warns of nothing',
  end: 'nothing is left at the end',
  equal: 'results are those of the reference',
} as const;

/** Name of an invariant. */
export type Invariant = keyof typeof INVARIANTS;

/** An invariant that does not hold. */
export interface CheckViolation {
  /** Which one. */
  readonly invariant: Invariant;
  /** What is wrong, in one line: which page, whose pin, by how much. */
  readonly what: string;
  /** The rule by which the recorded kernels do the same, or null. */
  readonly known: string | null;
}

/**
 * A violation.
 *
 * @param invariant which invariant
 * @param what what is wrong
 * @param known why the recorded kernels do the same
 * @returns the violation
 */
export function violation(
  invariant: Invariant,
  what: string,
  known: string | null = null,
): CheckViolation {
  return { invariant, what, known };
}
