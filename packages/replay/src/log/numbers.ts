/** Numbers as logs write them. */
import { errnoName } from '@pinfold/base';
import { MalformedLine } from './entries.ts';

const U64_END = 2n ** 64n;

/**
 * An unsigned number of 64 bits.
 *
 * @param text decimal, or hexadecimal with `0x`
 * @param what what it is, for messages
 * @returns the number
 * @throws {MalformedLine} when it is none
 */
export function u64(text: string, what: string): bigint {
  const value = /^(?:0x[0-9a-fA-F]{1,16}|\d{1,20})$/.test(text) ? BigInt(text) : U64_END;
  if (value < U64_END) return value;
  throw new MalformedLine(`${what} is '${text.slice(0, 40)}'`);
}

/**
 * A hexadecimal number without its `0x`.
 *
 * @param digits its digits
 * @param what what it is, for messages
 * @returns the number
 * @throws {MalformedLine} when it is none
 */
export function hexDigits(digits: string, what: string): bigint {
  return u64(`0x${digits.replace(/^0x/i, '')}`, what);
}

/**
 * Name of an errno that a log gives as a number.
 *
 * @param text such as `-22`
 * @returns such as `EINVAL`
 */
export function errnoOf(text: string): string {
  return errnoName(Number(text));
}

const MESSAGES: Readonly<Record<string, string>> = {
  'Operation not permitted': 'EPERM',
  'No such file or directory': 'ENOENT',
  'Cannot allocate memory': 'ENOMEM',
  'Permission denied': 'EACCES',
  'Bad address': 'EFAULT',
  'Device or resource busy': 'EBUSY',
  'File exists': 'EEXIST',
  'No such device': 'ENODEV',
  'Invalid argument': 'EINVAL',
  'Inappropriate ioctl for device': 'ENOTTY',
  'No space left on device': 'ENOSPC',
  'Operation not supported': 'EOPNOTSUPP',
};

/**
 * Name of an errno that a log gives in the words of strerror.
 *
 * @param text a text with such words
 * @returns such as `EINVAL`; undefined without any
 */
export function errnoOfWords(text: string): string | undefined {
  for (const [words, name] of Object.entries(MESSAGES)) if (text.includes(words)) return name;
  return undefined;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/**
 * A size with a unit, such as `8 GiB`.
 *
 * @param number its number
 * @param unit its unit: `GiB`, `GB`, `G`, `kB`
 * @returns bytes
 */
export function sizeOf(number: string, unit: string): number {
  return Number(number) * (UNITS[unit.slice(0, 1).toUpperCase()] ?? 1);
}
