/** The preloaded library: compiled by the machine's C compiler at first use, and kept. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '@pinfold/base';

const SOURCE = fileURLToPath(new URL('../preload/pinfold-preload.c', import.meta.url));
const FLAGS = ['-std=gnu11', '-O2', '-fPIC', '-shared', '-fvisibility=hidden'];

/**
 * Where libraries are kept: the user's cache.
 *
 * @returns the folder, XDG_CACHE_HOME/pinfold or ~/.cache/pinfold
 */
export function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME;
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'pinfold');
}

/**
 * The library, compiled if it is not there yet.
 *
 * @param compiler the C compiler; default: CC of the environment, or cc
 * @param cache folder in which it is kept
 * @returns its path
 * @throws {InputError} without a compiler, or when it refuses the source
 */
export function preloadLibrary(
  compiler: string = process.env.CC ?? 'cc',
  cache: string = cacheFolder(),
): string {
  const key = createHash('sha256')
    .update(readFileSync(SOURCE))
    .update([compiler, process.arch, ...FLAGS].join('\0'))
    .digest('hex');
  const path = join(cache, `pinfold-preload-${key.slice(0, 16)}.so`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  // Whoever else compiles it at the same time: each renames its own, and all are the same.
  const own = `${path}.${process.pid}`;
  const done = spawnSync(compiler, [...FLAGS, '-o', own, SOURCE, '-ldl', '-lpthread'], {
    encoding: 'utf8',
  });
  if (done.error) {
    const wanted = 'a C compiler to build the preloaded library (apt install gcc, or set CC)';
    throw new InputError('pinfold exec', wanted, `'${compiler}': ${done.error.message}`);
  }
  if (done.status !== 0) {
    const [first = ''] = done.stderr.trim().split('\n');
    throw new InputError('pinfold exec', `${compiler} to build ${SOURCE}`, first);
  }
  renameSync(own, path);
  return path;
}
