/** The machine that a scenario runs on: the model today; a host with hardware could be another. */
import type { AnyOperation } from './any-operation.ts';
import type { Observation } from './observation.ts';

/** A machine with one process, which does the steps of a scenario. */
export interface Machine<Operation extends AnyOperation = AnyOperation> {
  /** What is left to see when an operation has ended in a BUG of the kernel, or never returns. */
  readonly died?: Observation | undefined;

  /**
   * Does one operation. What the kernel refuses is an observation with an errno, not a rejection.
   *
   * @param operation the operation
   * @returns what it shows
   * @throws {InputError} when the machine cannot do it at all (an unknown device, a kind of memory
   *   that it does not have)
   */
  perform(operation: Operation): Promise<Observation>;

  /**
   * Ends the process: everything it has open is closed, its memory is given back.
   *
   * @returns pins that are left in the machine, in pages; 0 unless something leaked
   */
  exit(): Promise<number>;
}
