/**
 * The addresses that a `touch` accesses, one after the other. They are computed as they are needed: a
 * range may be far longer than what is mapped, and ends at the first access that is not allowed.
 *
 * @source recordings README, "Scenario language"; README-more, edge06
 */
import { InputError, mulberry32, PAGE_SIZE, shuffle } from '@pinfold/base';
import type { TouchOperation } from './operation.ts';

/** Accesses of one step at most: a process reads 256 GiB by pages. */
export const MAX_ACCESSES: number = 2 ** 26;
/** Accesses of a step in random order at most, whose list is made first. */
const MAX_SHUFFLED = 2 ** 22;

/** Accesses in their order. */
export interface AccessOrder {
  /** How many there are. */
  readonly count: number;
  /** Byte address of the access `i`; those of a process are exact in a double. */
  readonly at: (i: number) => number;
}

/**
 * The accesses of a touch.
 *
 * @param operation the range, the stride and the order
 * @returns their number and their addresses
 * @throws {InputError} for a random order of too many
 */
export function accessOrder({ va, size, stride, pages, order, seed }: TouchOperation): AccessOrder {
  const first = Number(va);
  const step = pages ? PAGE_SIZE : Number(stride);
  const count = pages ? pages.length : Number((size + stride - 1n) / stride);
  const nth = (i: number): number => first + (pages ? pages[i] : i) * step;
  if (order === 'rev') return { count, at: (i) => nth(count - 1 - i) };
  if (order !== 'rand') return { count, at: nth };
  if (count > MAX_SHUFFLED) {
    throw new InputError('touch order=rand', `at most ${MAX_SHUFFLED} accesses`, `${count}`);
  }
  const list = Array.from({ length: count }, (_, i) => nth(i));
  shuffle(list, mulberry32(seed ?? 0));
  return { count, at: (i) => list[i] };
}

/**
 * What is said of a touch that goes on and on.
 *
 * @param count the accesses that it wants
 * @returns the fault
 */
export function tooManyAccesses(count: number): InputError {
  return new InputError('touch', `at most ${MAX_ACCESSES} accesses in one step`, `${count}`);
}
