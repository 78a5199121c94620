/**
 * An operation of the scenario language: all that there is to say of it, in one file. How its line is
 * written, read and printed, what the model does, what a checker needs to know, and its documentation.
 */
import type { AnyOperation, Entry, Observation } from '@pinfold/scenario';
import type { Done, Guest } from '../machine/guest.ts';

/** How large an operation is for whoever looks for a small one: mapped pages count first. */
export interface OperationCost {
  /** Pages that it maps for DMA. */
  readonly mapped?: number;
  /** Pages of memory that it makes. */
  readonly memory?: number;
  /** Everything else. */
  readonly other?: number;
}

/** An op whose operation is `O`. */
export interface GuestOp<O extends AnyOperation> {
  /** Its name. */
  readonly op: O['op'];
  /** What it does, and what its arguments are where their names do not say it. */
  readonly summary: string;
  /** How a line of it is written and checked. */
  readonly entry: Entry<O>;
  /** Fields of the operation that its line calls otherwise. */
  readonly argumentOf?: Readonly<Record<string, string>>;
  /** Whether it leaves mappings and layout as they are, so that nobody has to look; default false. */
  readonly layoutStays?: boolean;
  /** Whether the process does it by itself, so that no pin algorithm has to do with it; default false. */
  readonly runsNoAlgorithm?: boolean;
  /**
   * Forms of an operation that ask for less.
   *
   * @param operation the operation
   * @returns the forms, those that are tried first before the others; default: none
   */
  smaller?(operation: O): readonly O[];
  /**
   * How large an operation is; default: the pages of its `size=`, up to 1000.
   *
   * @param operation the operation
   * @returns its cost
   */
  cost?(operation: O): OperationCost;
  /**
   * Does the operation.
   *
   * @param guest the machine
   * @param operation what the line says
   * @returns what it returned
   * @throws {KernelError} what the kernel returns
   */
  perform(guest: Guest, operation: O): Done;
  /**
   * What a step shows besides, whether the call has failed or not.
   *
   * @param guest the machine after it
   * @param code what the call returned
   * @returns the fields
   */
  shown?(guest: Guest, code: number): Partial<Observation>;
}
