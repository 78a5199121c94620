/** Which pinfold this is: its version, and the commit of a checkout. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the package says of itself. */
export interface Manifest {
  readonly version: string;
  readonly description: string;
}

/**
 * What the package says of itself.
 *
 * @returns its version and description
 */
export function manifest(): Manifest {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return JSON.parse(text) as Manifest;
}

/**
 * The commit that runs, where pinfold runs from a checkout of its own; a package that is installed in
 * somebody's repository is of none that is known.
 *
 * @returns twelve digits of its hash, with `+` if files of the checkout were changed; null if unknown
 */
export function commit(): string | null {
  const root = new URL('../../../', import.meta.url);
  if (!existsSync(new URL('.git', root)) || !existsSync(new URL('apps/cli/package.json', root)))
    return null;
  const git = (...args: string[]): string | null => {
    const { status, stdout } = spawnSync('git', ['-C', fileURLToPath(root), ...args], {
      encoding: 'utf8',
    });
    return status === 0 ? stdout.trim() : null;
  };
  const hash = git('rev-parse', '--short=12', 'HEAD');
  if (hash === null) return null;
  return git('status', '--porcelain', '--untracked-files=no') === '' ? hash : `${hash}+`;
}
