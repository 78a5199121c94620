/** Whether a program can be run with a preloaded library. */
import { accessSync, constants, openSync, closeSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { InputError } from '@pinfold/base';

const PT_INTERP = 3;
const HEAD = 64;
const SETID = 0o6000;

/**
 * The file of a program, looked for as a shell does.
 *
 * @param program its name or path
 * @returns its path
 * @throws {InputError} when there is none, and for a program that ignores preloaded libraries: one
 *   that is linked statically, or setuid or setgid of somebody else
 */
export function programFile(program: string): string {
  const path = located(program);
  const { mode, uid } = statSync(path);
  if ((mode & SETID) !== 0 && uid !== process.getuid?.()) {
    throw new InputError(program, 'a program that is not setuid or setgid', 'one that is');
  }
  if (isStatic(path)) {
    throw new InputError(
      program,
      'a program that is linked dynamically, since calls are taken over by a preloaded library',
      'one that is linked statically',
    );
  }
  return path;
}

function located(program: string): string {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = program.includes('/') ? [program] : folders.map((folder) => join(folder, program));
  const found = paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
  if (found !== undefined) return found;
  throw new InputError(program, 'a program that can be run', 'no such program');
}

/** Whether an ELF file of 64 bit has no interpreter. Scripts have one of their own. */
function isStatic(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD);
    if (readSync(fd, head, 0, HEAD, 0) < HEAD || head.toString('latin1', 1, 4) !== 'ELF')
      return false;
    const [size, count] = [head.readUInt16LE(54), head.readUInt16LE(56)];
    const table = Buffer.alloc(size * count);
    readSync(fd, table, 0, table.length, Number(head.readBigUInt64LE(32)));
    return !Array.from({ length: count }, (_, i) => table.readUInt32LE(i * size)).includes(
      PT_INTERP,
    );
  } finally {
    closeSync(fd);
  }
}
