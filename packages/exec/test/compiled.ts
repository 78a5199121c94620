/** Test programs, compiled by the machine's C compiler. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url));

/** Whether there is a C compiler: without one these tests are skipped, as the command refuses to run. */
export const hasCompiler: boolean = spawnSync('cc', ['--version']).status === 0;

/**
 * Compiles a program.
 *
 * @param name its file without `.c`
 * @param folder where it is put
 * @returns its path
 */
export function compiled(name: string, folder: string): string {
  const path = join(folder, name);
  const source = join(PROGRAMS, `${name}.c`);
  const flags = ['-D_GNU_SOURCE', '-Wall', '-Werror', '-O1'];
  const done = spawnSync('cc', [...flags, '-o', path, source, '-lpthread'], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
  return path;
}
