/** What is said when the model itself goes wrong in a step: where, and what to do about it. */
import { InputError, KernelBug, UserCodeFault } from '@pinfold/base';
import type { Step } from '../language/language.ts';

/** A fault of the model, not of the scenario: an invariant is broken, or its memory is used up. */
export class ModelFault extends Error {
  override readonly name = 'ModelFault';
  /** File and line of the step. */
  readonly place: string;

  /**
   * @param step the step in which it happened
   * @param cause what was thrown
   */
  constructor(step: Step, cause: unknown) {
    const { place, op } = step;
    const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    super(`${place}: the model goes wrong in '${op}': ${what}`, { cause });
    this.place = place;
  }
}

/**
 * What a step has thrown, with its place if nobody expected it.
 *
 * @param error what was thrown
 * @param step the step
 * @returns a {@link ModelFault} for anything but a fault of the user's, of the user's own code or of the
 *   modelled kernel, which are returned as they are
 */
export function inStep(error: unknown, step: Step): unknown {
  const expected =
    error instanceof InputError ||
    error instanceof KernelBug ||
    error instanceof UserCodeFault ||
    error instanceof ModelFault;
  return expected ? error : new ModelFault(step, error);
}
