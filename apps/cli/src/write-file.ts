/** Writing files that are whole or not there at all. */
import {
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { InputError } from '@pinfold/base';

/**
 * Writes a file beside its place first, so that one of its name is replaced only by a whole one.
 * What is no plain file, such as a pipe or /dev/null, is written to as it is.
 *
 * @param file the file
 * @param text its text
 * @throws {Error} when it cannot be written; nothing has changed then
 */
export function replaceFile(file: string, text: string): void {
  const there = statSync(file, { throwIfNoEntry: false });
  if (there && !there.isFile()) {
    writeFileSync(file, text);
    return;
  }
  const made = `${file}.${process.pid}.tmp`;
  writeOrNothing(made, text);
  try {
    renameSync(made, file);
  } catch (error) {
    rmSync(made, { force: true });
    throw error;
  }
}

/**
 * Writes what a flag asks for, as {@link replaceFile}.
 *
 * @param flag the flag, for the message
 * @param file the file
 * @param text its text
 * @throws {InputError} when it cannot be written; nothing has changed then
 */
export function writeForFlag(flag: string, file: string, text: string): void {
  try {
    replaceFile(file, text);
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new InputError(flag, 'a file that can be written', got);
  }
}

/**
 * Writes a file that must not be there yet.
 *
 * @param file the file
 * @param text its text
 * @throws {Error} with code EEXIST if there is one, or when it cannot be written; nothing has changed
 *   then
 */
export function writeNewFile(file: string, text: string): void {
  writeOrNothing(file, text);
}

function writeOrNothing(file: string, text: string): void {
  const fd = openSync(file, 'wx');
  try {
    writeFileSync(fd, text);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a folder and those above it. It asks nothing beforehand, so that two that make the same one at
 * once both succeed; and it is not Node's own way, which does not come back where none can be made.
 *
 * @param dir the folder
 * @throws {Error} when there is none and it cannot be made
 */
export function makeFolders(dir: string): void {
  if (dir === dirname(dir) || madeFolder(dir)) return;
  makeFolders(dirname(dir));
  if (!madeFolder(dir)) throw new Error(`no folder can be made: ${dir}`);
}

/** Whether there is one now; false where the one above it is missing. */
function madeFolder(dir: string): boolean {
  try {
    mkdirSync(dir);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return true;
    if (code === 'ENOENT') return false;
    throw error;
  }
}
