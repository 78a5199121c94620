/** Errors on stderr: one line for what a user wrote wrong, the stack for what nobody expected. */
import { InputError, KernelBug } from '@pinfold/base';
import { AlgorithmFault } from '@pinfold/vfio-type1';
import { CommanderError } from 'commander';
import { onOneLine } from './output.ts';

/** Exit code for what a user wrote wrong. */
export const EXIT_USAGE = 2;
/** Exit code for what should not have happened. */
export const EXIT_FAILURE = 1;

/** What an algorithm of the user's own does wrong, where nothing looks for it. */
export class AlgorithmFinding extends Error {
  override readonly name = 'AlgorithmFinding';
}

/**
 * Reports an error on stderr.
 *
 * @param error what was thrown
 * @returns the exit code
 */
export function reportError(error: unknown): number {
  // --help and --version end with such an "error".
  if (error instanceof CommanderError) return error.exitCode;
  if (error instanceof InputError || error instanceof AlgorithmFault) {
    process.stderr.write(`pinfold: ${onOneLine(error.message)}\n`);
    return EXIT_USAGE;
  }
  // A finding about an algorithm or a release.
  if (error instanceof KernelBug) {
    process.stderr.write(`pinfold: the kernel would crash: ${onOneLine(error.message)}\n`);
    return EXIT_FAILURE;
  }
  if (error instanceof AlgorithmFinding) {
    process.stderr.write(`pinfold: ${onOneLine(error.message)}\n`);
    return EXIT_FAILURE;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${text}\n`);
  return EXIT_FAILURE;
}
