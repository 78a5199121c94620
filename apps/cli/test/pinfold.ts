/** Runs the command as a user does. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command's source. */
export const main: string = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** What a run of the command left behind. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in a process of its own, without a terminal. */
export function pinfold(...args: string[]): Promise<Outcome> {
  return node(main, ...args);
}

/** Runs the command with a text on standard input. */
export function pinfoldReading(input: string, ...args: string[]): Promise<Outcome> {
  return spawnNode([main, ...args], input);
}

/** Runs Node with these arguments. */
export function node(...args: string[]): Promise<Outcome> {
  return spawnNode(args, '');
}

/** Runs the command with variables of its own. */
export function start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return spawnNode([main, ...args], '', env);
}

function spawnNode(
  args: readonly string[],
  input: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, ['--conditions=@pinfold/source', ...args], {
    env: { ...process.env, ...env },
  });
  const out = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out.stderr += text));
  // A command that does not read ends before it is written to.
  child.stdin.on('error', () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve({ code, ...out }));
  });
}
