/** A sequence of operations on a machine: what a check runs, and what a counterexample is. */
import { InputError } from '@pinfold/base';
import { operationText, type GuestScenario, type Operation } from '@pinfold/guest';
import {
  type Region,
  type Regions,
  type AuditLine,
  machineLineText,
  type MachineLine,
} from '@pinfold/scenario';

/** A machine, and what its process does. */
export interface CheckSequence {
  /** The machine. */
  readonly machine: MachineLine;
  /** The operations; every mmap has an address. */
  readonly operations: readonly Operation[];
}

/** What stands in a scenario besides its operations. */
export interface SequenceHead {
  /** Title. */
  readonly title: string;
  /** Comments below it, a line each. */
  readonly comments: readonly string[];
  /** What the audit compares with, and on which kernel. */
  readonly audit: Required<AuditLine>;
}

/**
 * A sequence as a scenario file. Reading it gives the same operations.
 *
 * @param sequence the sequence
 * @param head title, comments and reference
 * @returns the text
 */
export function sequenceText(
  { machine, operations }: CheckSequence,
  { title, comments, audit }: SequenceHead,
): string {
  const regions = new Map<string, Region>();
  const lines = operations.map((operation) => {
    const line = operationText(operation, regions);
    remember(operation, regions);
    return line;
  });
  const machineText = machineLineText(machine);
  return [
    `title ${title}`,
    ...comments.map((comment) => `# ${comment}`),
    ...(machineText === 'machine' ? [] : [machineText]),
    `audit against=${audit.against} kernel=${audit.kernel}`,
    ...lines,
    '',
  ].join('\n');
}

/**
 * Reads a sequence from a scenario.
 *
 * @param scenario the scenario; every mmap has an address
 * @returns the sequence
 * @throws {InputError} when an argument cannot be evaluated, or a region has no address
 */
export function sequenceOf({ file, machine, steps }: GuestScenario): CheckSequence {
  const regions = new Map<string, Region>();
  const operations = steps.map((step) => {
    const operation = step.evaluate(regions);
    if (operation.op === 'mmap' && operation.addr === undefined) {
      throw new InputError(`${file}:${step.line}`, 'an mmap with addr=', 'one without');
    }
    remember(operation, regions);
    return operation;
  });
  return { machine, operations };
}

function remember(operation: Operation, regions: Map<string, Region>): Regions {
  if (operation.op === 'mmap' && operation.addr !== undefined) {
    regions.set(operation.name, { va: operation.addr, size: operation.size });
  }
  return regions;
}
