/** Reading what a command line names: never more than a bound, and never a pipe where a file is meant. */
import { closeSync, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs';
import { InputError } from '@pinfold/base';

const MIB = 2 ** 20;
/** Bytes of one read. */
const CHUNK = 2 ** 16;
/** File descriptor of standard input. */
const STDIN = 0;

/**
 * A path as a message shows it.
 *
 * @param path the path, as the user wrote it
 * @returns the path; quotes where it is empty
 */
export function shownPath(path: string): string {
  return path === '' ? "''" : path;
}

/**
 * Reads a text, from a file, a pipe or a device, up to a bound.
 *
 * @param path the file; null for standard input
 * @param what what is expected there, for messages
 * @param limit bytes that it may have
 * @returns the text
 * @throws {InputError} when it cannot be read, or is longer
 */
export function readText(path: string | null, what: string, limit: number): string {
  const place = path === null ? 'stdin' : shownPath(path);
  const bytes = orInputError(place, what, () => {
    const fd = path === null ? STDIN : openSync(path, 'r');
    try {
      return readUpTo(fd, limit);
    } finally {
      if (path !== null) closeSync(fd);
    }
  });
  if (bytes) return bytes.toString('utf8');
  throw new InputError(place, `${what} of at most ${limit / MIB} MiB`, 'more');
}

/**
 * Checks that a path is a file of a moderate size: a pipe may have nobody at its other end, and a device
 * no end.
 *
 * @param path the file, as the user wrote it
 * @param what what is expected there, for messages
 * @param limit bytes that it may have
 * @throws {InputError} when it is not
 */
export function checkFile(path: string, what: string, limit: number): void {
  const place = shownPath(path);
  const found = orInputError(place, what, () => statSync(path));
  if (!found.isFile()) throw new InputError(place, `${what} in a file`, kindOf(found));
  if (found.size <= limit) return;
  const got = `${Math.ceil(found.size / MIB)} MiB`;
  throw new InputError(place, `${what} of at most ${limit / MIB} MiB`, got);
}

/**
 * Checks that a file to be written is none of those that are read.
 *
 * @param flag the flag that names it, for messages
 * @param path the file to be written
 * @param inputs the files that are read, as the user wrote them; undefined: none
 * @throws {InputError} when it is one of them, by whatever name
 */
export function checkOutput(
  flag: string,
  path: string,
  inputs: readonly (string | undefined)[],
): void {
  const there = statSync(path, { throwIfNoEntry: false });
  for (const input of inputs) {
    const read = input === undefined ? undefined : statSync(input, { throwIfNoEntry: false });
    const same = read !== undefined && there?.dev === read.dev && there.ino === read.ino;
    if (!same) continue;
    throw new InputError(flag, 'a file of its own', `'${path}', which is read`);
  }
}

/** The bytes behind a descriptor; null if there are more than a bound. */
function readUpTo(fd: number, limit: number): Buffer | null {
  const stat = fstatSync(fd);
  if (stat.isFile() && stat.size > limit) return null;
  const chunks: Buffer[] = [];
  for (let length = 0; length <= limit;) {
    const chunk = Buffer.alloc(CHUNK);
    const read = readSync(fd, chunk, 0, CHUNK, null);
    if (read === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, read));
    length += read;
  }
  return null;
}

function orInputError<Value>(place: string, what: string, act: () => Value): Value {
  try {
    return act();
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new InputError(place, `${what} that can be read`, got);
  }
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder';
  if (found.isFIFO()) return 'a pipe';
  return found.isSocket() ? 'a socket' : 'a device';
}
