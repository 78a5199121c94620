/** Counts of a 16 GiB map and unmap, made by a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CounterName, CounterValues } from '@pinfold/base';

/**
 * Runs `count-16g.ts`: what the test runner does to imports costs a factor of five.
 *
 * @param args kernel of the tests, layout and, unless it is the kernel's own, the algorithm
 * @returns the counts of the map and of the unmap
 */
export async function countsOf(...args: readonly string[]): Promise<CounterValues[]> {
  const script = fileURLToPath(new URL('count-16g.ts', import.meta.url));
  const node = ['--conditions=@pinfold/source', script, ...args];
  const { stdout } = await promisify(execFile)(process.execPath, node);
  return JSON.parse(stdout) as CounterValues[];
}

/** The counters of a table, of those that were counted. */
export function only(
  names: readonly string[],
  counts: CounterValues | undefined,
): Record<string, number | undefined> {
  return Object.fromEntries(names.map((name) => [name, counts?.[name as CounterName]]));
}
