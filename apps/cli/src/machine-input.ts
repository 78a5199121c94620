/** What a user says of the machine, in a file, and what was assumed of it. */
import { parseHost, type AssumedMachine } from '@pinfold/guest';
import type { MachineLine } from '@pinfold/scenario';
import { Option } from 'commander';
import { readText } from './read-file.ts';
import { wrapped } from './table.ts';

/** Bytes of a host file at most. */
const LIMIT = 2 ** 20;

/**
 * `--host`: the file that describes the machine.
 *
 * @returns the option
 */
export function hostOption(): Option {
  return new Option('--host <file>', 'the machine, as YAML or JSON, such as `pinfold host` prints');
}

/**
 * What a host file says.
 *
 * @param file the file; undefined: none
 * @returns the machine; of it nothing is known without a file
 * @throws {InputError} when the file cannot be read
 */
export function hostOf(file: string | undefined): MachineLine {
  return file === undefined ? {} : parseHost(readText(file, 'a host', LIMIT), file);
}

/**
 * What was assumed of a machine: nothing where the user has said which it is, and its memory and devices
 * suffice.
 *
 * @param machine the machine
 * @param standIn what stands for the kernel that was asked for; empty where that is modelled
 * @returns lines, empty where there is nothing to say
 */
export function machineText(
  { isAssumed, summary, fitted }: AssumedMachine,
  standIn: string,
): string {
  const needed = fitted.length > 0 ? `; for this scenario: ${fitted.join(', ')}` : '';
  const assumed = isAssumed ? `Assumed machine: ${summary}${needed}.` : needed.slice(2);
  return [standIn, assumed]
    .filter((line) => line !== '')
    .map((line) => wrapped(line, '  ', ''))
    .join('');
}
