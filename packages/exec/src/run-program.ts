/** Runs a program on the model. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { preloadLibrary } from './preload.ts';
import { programFile } from './program.ts';
import { ExecServer } from './server.ts';
import { ExecSession, type SessionOptions } from './session.ts';

/** A program that has ended. */
export interface ProgramRun {
  /** What it did. */
  readonly session: ExecSession;
  /** Its exit code, as a shell has it: 128 and the signal's number after a signal. */
  readonly exitCode: number;
  /** Files that were open in the model when it had ended: of processes that go on without it. */
  readonly leftOpen: readonly string[];
}

/**
 * Runs a program, with the descriptors of this process, until it ends.
 *
 * @param program its name or path
 * @param args its arguments
 * @param options kernel, machine and limits
 * @returns what became of it
 * @throws {InputError} when it cannot be run so
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: Omit<SessionOptions, 'root'>,
): Promise<ProgramRun> {
  const file = programFile(program);
  const library = preloadLibrary();
  const root = mkdtempSync(join(tmpdir(), 'pinfold-exec-'));
  try {
    const session = new ExecSession({ ...options, root });
    const server = new ExecServer(session);
    const socket = join(root, '.socket');
    await server.listen(socket);
    const hugetlbfs = options.view?.hugetlbfs;
    const before = process.env.LD_PRELOAD;
    const env = {
      ...process.env,
      LD_PRELOAD: before === undefined || before === '' ? library : `${library}:${before}`,
      PINFOLD_EXEC_ROOT: root,
      PINFOLD_EXEC_SOCKET: socket,
      ...(hugetlbfs && { PINFOLD_EXEC_HUGETLBFS: `${hugetlbfs.folder}:${hugetlbfs.pageBytes}` }),
    };
    const exitCode = await ended(spawn(file, args, { stdio: 'inherit', env }));
    await server.close();
    const leftOpen = session.openFiles;
    session.end();
    return { session, exitCode, leftOpen };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The exit code of a child; signals that end this process go to the child, which decides. */
function ended(child: ReturnType<typeof spawn>): Promise<number> {
  const pass = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (code, signal) => {
      for (const each of signals) process.off(each, pass);
      done(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
