/** Errors on stderr: one line each, for what a user wrote wrong and for what nobody expected. */
import { InputError, KernelBug } from '@pinfold/base';
import { ModelFault } from '@pinfold/scenario';
import { AlgorithmFault } from '@pinfold/vfio-type1';
import { CommanderError } from 'commander';
import { onOneLine } from './output.ts';

/** Exit code for what a user wrote wrong. */
export const EXIT_USAGE = 2;
/** Exit code for a finding: something is not as it should be. */
export const EXIT_FAILURE = 1;
/** Exit code for a fault of pinfold itself, and for output that cannot be written. */
export const EXIT_BROKEN = 3;
/** Variable of the environment that shows the stack of a fault of pinfold itself. */
const STACK = 'PINFOLD_STACK';

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
  reportBroken(error);
  return EXIT_BROKEN;
}

/** A fault of pinfold itself: one line, and the stack for who asks for it. */
function reportBroken(error: unknown): void {
  const message = error instanceof ModelFault ? error.message : faultText(error);
  const hint = `this is a fault of pinfold, please report it (${STACK}=1 shows where)`;
  process.stderr.write(`pinfold: ${onOneLine(message)}; ${hint}\n`);
  if (process.env[STACK] === undefined) return;
  const cause = error instanceof ModelFault ? error.cause : error;
  if (cause instanceof Error) process.stderr.write(`${cause.stack ?? ''}\n`);
}

/**
 * An error that nobody expected, in a few words.
 *
 * @param error what was thrown
 * @returns its kind and its message
 */
export function faultText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/**
 * Reports that stdout cannot be written to.
 *
 * @param error what the stream says
 * @returns the exit code: 0 for a reader that has seen enough, such as `head`
 */
export function reportOutputError(error: NodeJS.ErrnoException): number {
  if (error.code === 'EPIPE') return 0;
  process.stderr.write(`pinfold: stdout cannot be written to: ${onOneLine(error.message)}\n`);
  return EXIT_BROKEN;
}
