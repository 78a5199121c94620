/** Mistakes in an algorithm that somebody wrote, apart from faults of pinfold and of the kernel. */
import { UserCodeFault } from '@pinfold/base';

/**
 * An algorithm of one's own does what no kernel code could: it returns nonsense, throws, calls the
 * kernel with wrong arguments, or does not come to an end. Nothing of the call is rolled back.
 *
 * @source reference type1.md §5 and §6 (what the steps may return)
 */
export class AlgorithmFault extends UserCodeFault {
  override readonly name = 'AlgorithmFault';
  /** File, with line and column if they are known. */
  readonly place: string;
  /** What is wrong: the step or the call, what it got and what was expected. */
  readonly what: string;

  /**
   * @param place file, with line and column if they are known
   * @param what the step or the call, what it got and what was expected
   */
  constructor(place: string, what: string) {
    super(`${place}: ${what}`);
    this.place = place;
    this.what = what;
  }
}

/** A call of the kernel with wrong arguments; whoever knows the place makes the fault of it. */
export class Misuse extends Error {
  override readonly name = 'Misuse';
}

/**
 * A value as a message shows it.
 *
 * @param value anything
 * @returns a few words
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Promise) return 'a promise';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'bigint' ? `${value}n` : String(value);
}
