/**
 * The schema of an algorithm of one's own: what a file exports, before anything of it is called.
 *
 * @source reference type1.md §5 and §6 (the steps of an algorithm)
 */
import { InputError } from '@pinfold/base';
import { shown } from './algorithm-fault.ts';
import { STEPS } from './guard.ts';
import type { OwnAlgorithm } from './own-algorithm.ts';

/** The fields that are no steps, their types, and what they are. */
const FIELDS: Readonly<Record<string, readonly ['string' | 'boolean', string]>> = {
  name: ['string', 'a name, such as my-algorithm'],
  summary: ['string', 'one line of text'],
  source: ['string', 'a text'],
  base: ['string', 'a pin algorithm or a release, such as 6.18'],
  repins: ['boolean', 'true or false'],
};

const KEYS = [...Object.keys(FIELDS), ...STEPS];

/**
 * Reads what a file exports.
 *
 * @param own its default export
 * @param place the file, for messages
 * @param placeOf the place of one of its fields, for messages
 * @returns the same, checked
 * @throws {InputError} when it is no algorithm
 * @source reference type1.md §5 and §6
 */
export function parseOwnAlgorithm(
  own: unknown,
  place: string,
  placeOf: (key: string) => string,
): OwnAlgorithm {
  if (typeof own !== 'object' || own === null || Array.isArray(own))
    throw new InputError(`${place}, default export`, 'an algorithm, { name, … }', shown(own));
  for (const [key, value] of Object.entries(own)) {
    if (!KEYS.includes(key))
      throw new InputError(placeOf(key), `one of ${KEYS.join(', ')}`, `the field '${key}'`);
    const field = FIELDS[key];
    if (value === undefined && key !== 'name') continue;
    const [type, expected] = field ?? ['function', 'a function'];
    const good =
      typeof value === type &&
      (type !== 'string' || /^[^\p{Cc}]*\S[^\p{Cc}]*$/u.test(value as string));
    if (!good) throw new InputError(placeOf(key), `${key}: ${expected}`, shown(value));
  }
  if (!('name' in own)) throw new InputError(place, `name: ${FIELDS.name[1]}`, 'none');
  if (!STEPS.some((step) => (own as Readonly<Record<string, unknown>>)[step] !== undefined))
    throw new InputError(place, `at least one of ${STEPS.join(', ')}`, 'none of them');
  return own as OwnAlgorithm;
}
