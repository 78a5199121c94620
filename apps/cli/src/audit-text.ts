/** What the audit of a scenario has found, as text and as JSON. */
import { INVARIANTS, type CheckViolation, type SequenceOutcome } from '@pinfold/check';
import type { Scenario } from '@pinfold/scenario';

/** Exit code for a violated invariant. */
export const EXIT_VIOLATION = 1;

/** An audited scenario. */
export interface Audited {
  /** The scenario. */
  readonly scenario: Scenario;
  /** What its audit has found. */
  readonly outcome: SequenceOutcome;
}

/**
 * The result of an audit.
 *
 * @param audited the scenario and what was found; null if it has no audit
 * @returns a paragraph; empty without an audit
 */
export function auditText(audited: Audited | null): string {
  if (!audited) return '';
  const { found, known } = audited.outcome;
  const lines = known.map((one) => `known: ${one.known ?? ''}\n  ${one.what}\n`);
  const first = found ? `violated ${placeOf(audited)}: ${violationText(found)}\n` : '';
  const kept = !found && known.length === 0 ? 'audit: every invariant holds\n' : '';
  return `\n${first}${lines.join('')}${kept}`;
}

/**
 * The result of an audit for a JSON file.
 *
 * @param audited the scenario and what was found
 * @returns invariants and what is wrong
 */
export function auditJson({ scenario, outcome: { found, at, known } }: Audited): object {
  const step = scenario.steps.at(at);
  return {
    violated: found && { ...found, line: step?.line ?? null },
    known: known.map(({ invariant, what, known: why }) => ({ invariant, what, why })),
  };
}

/**
 * A violation in two lines.
 *
 * @param found the violation
 * @returns the invariant, and what is wrong
 */
function violationText({ invariant, grade, what }: CheckViolation): string {
  return `${INVARIANTS[invariant]} (${grade})\n  ${what}`;
}

function placeOf({ scenario, outcome }: Audited): string {
  const step = scenario.steps.at(outcome.at);
  return step ? `after line ${step.line}` : 'at the end';
}
