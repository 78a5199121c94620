/** A fault in what a user wrote, as the parts that survive the way between threads; errors do not. */
import { InputError } from '@pinfold/base';
import { AlgorithmFault } from '@pinfold/vfio-type1';

/** The parts of an {@link AlgorithmFault} or of an {@link InputError}. */
export type ThreadFault =
  | { readonly place: string; readonly what: string }
  | { readonly place: string; readonly expected: string; readonly got: string };

/**
 * Takes an error apart.
 *
 * @param error what was thrown
 * @returns its parts; null if it is no fault of a user
 */
export function faultParts(error: unknown): ThreadFault | null {
  if (error instanceof AlgorithmFault) return { place: error.place, what: error.what };
  if (!(error instanceof InputError)) return null;
  const { place, expected, got } = error;
  return { place, expected, got };
}

/**
 * Puts the parts together again.
 *
 * @param fault the parts
 * @returns the error
 */
export function faultError(fault: ThreadFault): AlgorithmFault | InputError {
  return 'what' in fault
    ? new AlgorithmFault(fault.place, fault.what)
    : new InputError(fault.place, fault.expected, fault.got);
}
