/** An op of the scenario language with what the model does: one file each, beside this one. */
import type { Entry } from '@pinfold/scenario';
import type { Done, Guest } from '../machine/guest.ts';

/** An op whose operation is `O`. */
export interface GuestOp<O extends { readonly op: string }> {
  /** Its name. */
  readonly op: O['op'];
  /** How a line of it is written. */
  readonly entry: Entry<O>;
  /** Whether it leaves mappings and layout as they are, so that nobody has to look; default false. */
  readonly layoutStays?: boolean;
  /**
   * Does the operation.
   *
   * @param guest the machine
   * @param operation what the line says
   * @returns what it returned
   * @throws {KernelError} what the kernel returns
   */
  perform(guest: Guest, operation: O): Done;
}
