/**
 * Values as a scenario writes them: numbers, and sums and differences of numbers and region names.
 *
 * @source recordings README, "Scenario language"
 */
import { InputError } from '@pinfold/base';
import { hex } from '../hex.ts';

/** Where a region lies. */
export interface Region {
  /** First byte. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The regions that are mapped so far, by name. */
export type Regions = ReadonlyMap<string, Region>;

/** A sum that is evaluated when the regions in it are known. */
export interface Expression {
  /** The sum as written. */
  readonly text: string;
  /** Its terms, in the order of the text. */
  readonly terms: readonly Term[];
}

/** One summand: a number, or a field of a region. */
export interface Term {
  /** 1, or -1 for what is subtracted. */
  readonly sign: 1n | -1n;
  /** A number. */
  readonly value?: bigint;
  /** Name of a region. */
  readonly region?: string;
  /** What of the region: its start, the address behind it, or its length in bytes. */
  readonly part?: 'start' | 'end' | 'len';
}

/** Largest value of an address or a size. */
export const U64_MAX: bigint = 2n ** 64n - 1n;

/** Characters of a sum at most. */
const MAX_LENGTH = 4096;

const UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  P: 4096n,
  K: 2n ** 10n,
  M: 2n ** 20n,
  G: 2n ** 30n,
  T: 2n ** 40n,
};
const NUMBER = /^(0x[0-9a-fA-F]+|\d+)([PKMGT]?)$/;
const REGION = /^([A-Za-z_]\w*)(?:\.(end|len))?$/;
const SUM = /^-?[^+-]+(?:[+-][^+-]+)*$/;

/** What is accepted as one term of a sum. */
const TERM_EXPECTED =
  'a number, decimal or 0x..., with or without K, M, G, T or P (4 KiB pages), or a region such as A, A.end or A.len';

/**
 * Whether a text may name a region: a letter, then letters, digits and `_`.
 *
 * @param text the text
 * @returns true if it may
 */
export function isRegionName(text: string): boolean {
  return /^[A-Za-z_]\w*$/.test(text);
}

/**
 * Reads a sum.
 *
 * @param text the sum as written, such as `A+2M-1P`
 * @param place where it is written, for messages
 * @returns the sum, not evaluated
 * @throws {InputError} when it is no sum of numbers and region names
 */
export function parseExpression(text: string, place: string): Expression {
  if (text.length > MAX_LENGTH) {
    throw new InputError(place, `at most ${MAX_LENGTH} characters`, `${text.length}`);
  }
  if (!SUM.test(text)) throw new InputError(place, TERM_EXPECTED, `'${text}'`);
  const terms = [...text.matchAll(/([+-]?)([^+-]+)/g)].map(([, sign, term = '']): Term => {
    const parsed = parseTerm(term);
    if (parsed) return { sign: sign === '-' ? -1n : 1n, ...parsed };
    const got = term === text ? `'${term}'` : `'${term}' in '${text}'`;
    throw new InputError(place, TERM_EXPECTED, got);
  });
  return { text, terms };
}

function parseTerm(text: string): Omit<Term, 'sign'> | undefined {
  const [, digits, unit = ''] = NUMBER.exec(text) ?? [];
  if (digits !== undefined) return { value: BigInt(digits) * (UNITS[unit] ?? 1n) };
  const [, region, part] = REGION.exec(text) ?? [];
  if (region === undefined) return undefined;
  return { region, part: part === 'end' || part === 'len' ? part : 'start' };
}

/**
 * The regions that a sum names.
 *
 * @param expression the sum
 * @returns their names, in the order of the text
 */
export function regionsOf(expression: Expression): string[] {
  return expression.terms.flatMap(({ region }) => region ?? []);
}

/**
 * Evaluates a sum.
 *
 * @param expression the sum
 * @param regions the regions that are mapped
 * @param place where it is written, for messages
 * @param max largest result accepted
 * @returns the result, 0 to `max`
 * @throws {InputError} when a region is not mapped, or the result is negative or too large
 */
export function evaluate(
  expression: Expression,
  regions: Regions,
  place: string,
  max: bigint = U64_MAX,
): bigint {
  let sum = 0n;
  for (const term of expression.terms) sum += term.sign * valueOf(term, regions, place);
  if (sum >= 0n && sum <= max) return sum;
  const { text } = expression;
  const expected = `a value from 0 to ${hex(max)}`;
  const result = sum < 0n ? `-${hex(-sum)}` : hex(sum);
  throw new InputError(place, expected, `'${text}', which is ${result}`);
}

function valueOf({ value, region, part }: Term, regions: Regions, place: string): bigint {
  if (region === undefined) return value ?? 0n;
  const found = regions.get(region);
  if (!found) {
    throw new InputError(place, 'a region that is mapped', `'${region}', whose mmap failed`);
  }
  if (part === 'len') return found.size;
  return part === 'end' ? found.va + found.size : found.va;
}
