/** Reading the values of flags. Every fault names the flag, what it accepts and what was found. */
import { InputError } from '@pinfold/base';
import { Option } from 'commander';

/**
 * Reads a comma-separated list; names that come twice count once.
 *
 * @param text the list as written
 * @param read reads one item
 * @returns the items, at least one
 */
export function list<Item>(text: string, read: (item: string) => Item): Item[] {
  return [...new Set(text.split(',').map((item) => read(item.trim())))];
}

/**
 * Reads a whole number.
 *
 * @param text the number as written
 * @param flag the flag, for the message
 * @param max largest number accepted; the smallest is 1
 * @returns the number
 * @throws {InputError} when it is no such number
 */
export function count(text: string, flag: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new InputError(flag, `a whole number from 1 to ${max}`, `'${text}'`);
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/**
 * Reads a length of time.
 *
 * @param text the time as written, such as `90s`, `30m` or `2h`; a number alone is minutes
 * @param flag the flag, for the message
 * @param max largest time accepted, in seconds
 * @returns the time in seconds
 * @throws {InputError} when it is none, or longer
 */
export function seconds(text: string, flag: string, max: number): number {
  const [, number = '0', unit = 'm'] = /^(\d+)([smh]?)$/.exec(text) ?? [];
  const value = Number(number) * UNITS[unit || 'm'];
  if (value >= 1 && value <= max) return value;
  throw new InputError(flag, `a time such as 90s, 30m or 2h, up to ${max / 3600}h`, `'${text}'`);
}

/**
 * Runs a reader whose own message names another place than the flag.
 *
 * @param flag the flag
 * @param text what is read
 * @param read the reader
 * @returns what it reads
 * @throws {InputError} the reader's, for this flag
 */
export function forFlag<Value>(flag: string, text: string, read: (text: string) => Value): Value {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof InputError) throw new InputError(flag, error.expected, `'${text}'`);
    throw error;
  }
}

/**
 * An option whose reader gets the flag, for messages.
 *
 * @param flags the flag and the name of its value, such as `--size <size>`
 * @param description what it is, for --help and for messages
 * @param read reads the value
 * @returns the option
 */
export function flag(
  flags: string,
  description: string,
  read: (text: string, place: string) => unknown,
): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => read(text, option.long ?? flags));
}

/**
 * Reads one of a few words.
 *
 * @param text the word as written
 * @param place the flag, for the message
 * @param words the words
 * @returns the word
 * @throws {InputError} when it is none of them
 */
export function oneOf<Word extends string>(
  text: string,
  place: string,
  words: readonly Word[],
): Word {
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  throw new InputError(place, `one of ${words.join(', ')}`, `'${text}'`);
}
