/** Running a script of this folder in a Node process of its own, so that nothing before it counts. */
import { spawnSync } from 'node:child_process';

/**
 * Runs a program to its end.
 *
 * @param file the program
 * @param args its arguments
 * @returns what it printed on stdout
 */
export function run(file: string, args: readonly string[]): string {
  const result = spawnSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${file} ${args.join(' ')}: exit ${String(result.status)}`);
  return result.stdout;
}

/**
 * Runs a script in a fresh Node process.
 *
 * @param script its URL
 * @param args its arguments
 * @returns what it printed on stdout
 */
export function runScript(script: URL, args: readonly string[]): string {
  return run(process.execPath, ['--conditions=@pinfold/source', script.pathname, ...args]);
}
