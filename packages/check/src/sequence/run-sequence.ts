/** Running a sequence, or a scenario with an `audit` line, with an audit after every step. */
import type { GuestScenario } from '@pinfold/guest';
import type { Region } from '@pinfold/scenario';
import { CheckedPair, type CheckedAlgorithms, type PairMemory } from '../machines/checked-pair.ts';
import type { CheckSequence } from './sequence.ts';
import type { CheckViolation } from '../audit/violation.ts';

/** What a sequence has shown. */
export interface SequenceOutcome {
  /** The violation that ended it; null if there was none. */
  readonly found: CheckViolation | null;
  /** Operation after which it was found, from 0; their number for the end of the process. */
  readonly at: number;
  /** What the recorded kernels do wrong too. */
  readonly known: readonly CheckViolation[];
  /** What does not count because its grade is waived. */
  readonly waived: readonly CheckViolation[];
}

/**
 * Runs a sequence until something is violated.
 *
 * @param checked kernel and algorithms
 * @param sequence the sequence
 * @param memory that of machines that are not used any more; default: new memory
 * @returns what was found
 */
export function runSequence(
  checked: CheckedAlgorithms,
  { machine, operations }: CheckSequence,
  memory?: PairMemory,
): SequenceOutcome {
  const pair = new CheckedPair(checked, machine, memory);
  for (const [at, operation] of operations.entries()) {
    const { found } = pair.step(operation);
    if (found || pair.over) return outcomeOf(pair, found, at);
  }
  return outcomeOf(pair, pair.end(), operations.length);
}

/**
 * Runs a scenario until something is violated.
 *
 * @param checked kernel and algorithms
 * @param scenario the scenario
 * @returns what was found; `at` counts its steps
 * @throws {InputError} when an argument cannot be evaluated
 */
export function auditScenario(
  checked: CheckedAlgorithms,
  { machine, steps }: GuestScenario,
): SequenceOutcome {
  const pair = new CheckedPair(checked, machine);
  const regions = new Map<string, Region>();
  for (const [at, step] of steps.entries()) {
    const operation = step.evaluate(regions);
    const { done, found } = pair.step(operation);
    const name = step.newRegion;
    if (name !== undefined && done?.va !== undefined && done.size !== undefined) {
      regions.set(name, { va: BigInt(done.va), size: BigInt(done.size) });
    }
    if (found || pair.over) return outcomeOf(pair, found, at);
  }
  return outcomeOf(pair, pair.end(), steps.length);
}

function outcomeOf(
  { known, waived }: CheckedPair,
  found: CheckViolation | null,
  at: number,
): SequenceOutcome {
  return { found, at, known, waived };
}
