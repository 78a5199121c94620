// Runs the pinfold command, as a user would.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.resolve('pinfold/package.json')));

/**
 * Runs a command line.
 *
 * @param args its words after `pinfold`
 * @param cwd where it runs
 * @param codes exit codes that are all right
 * @returns what it printed
 */
export function pinfold(
  args: readonly string[],
  cwd: string,
  codes: readonly number[] = [0],
): string {
  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    [join(folder, 'dist/main.js'), ...args],
    { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  if (error) throw error;
  if (status === null || !codes.includes(status)) {
    throw new Error(`pinfold ${args.join(' ')}: exit code ${status ?? 'none'}\n${stderr}`);
  }
  return stdout;
}
