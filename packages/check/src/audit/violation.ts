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
  step: 'a step returns what it has to',
} as const;

/** Name of an invariant. */
export type Invariant = keyof typeof INVARIANTS;

/**
 * How much a finding weighs, the heaviest first. Whoever judges a patch may waive a grade; nobody can
 * waive what is known of memory.
 */
export const GRADES = {
  corruption: 'a device reaches the wrong memory, a pin is lost, or the kernel dies',
  leak: 'pins or pages are never given back',
  accounting: 'locked_vm or the dirty log are wrong, or the kernel warns',
  result: 'a call succeeds, fails or shows something where the reference does not',
  errno: 'a call that has to fail fails for another reason',
  leaves: 'results are right, and IOPTEs are of other sizes: performance only',
} as const;

/** Name of a grade. */
export type Grade = keyof typeof GRADES;

/** What an invariant weighs where the finding does not say otherwise. */
const GRADE_OF: Readonly<Record<Invariant, Grade>> = {
  ...{ crash: 'corruption', model: 'corruption', step: 'corruption' },
  ...{ reach: 'corruption', order: 'corruption', scan: 'corruption', pins: 'corruption' },
  ...{ folio: 'corruption', dirty: 'corruption', charge: 'accounting', warning: 'accounting' },
  ...{ end: 'leak', equal: 'result' },
};

/** An invariant that does not hold. */
export interface CheckViolation {
  /** Which one. */
  readonly invariant: Invariant;
  /** How much it weighs. */
  readonly grade: Grade;
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
 * @param grade how much it weighs; default: what the invariant does
 * @returns the violation
 */
export function violation(
  invariant: Invariant,
  what: string,
  known: string | null = null,
  grade: Grade = GRADE_OF[invariant],
): CheckViolation {
  return { invariant, grade, what, known };
}
