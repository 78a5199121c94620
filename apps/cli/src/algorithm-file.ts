/** Loading an algorithm that somebody wrote: whatever is wrong with the file is said with its place. */
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { extname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { InputError } from '@pinfold/base';
import { contender } from '@pinfold/bench';
import { algorithmFrom, stackOf, type PinAlgorithm } from '@pinfold/vfio-type1';
import { containOwnCode } from './own-code.ts';
import { checkFile } from './read-file.ts';
import { reportError } from './report-error.ts';
import { startWatchdog } from './watchdog.ts';

/** Seconds that a file may be silent, unless `--patience` says otherwise. */
export const DEFAULT_PATIENCE = 10;

/** Bytes of a file at most. */
const MAX_SOURCE = 2 ** 24;

/** A file while it is loaded. */
interface SourceFile {
  /** As the user wrote it. */
  readonly name: string;
  readonly text: string;
  readonly url: string;
}

/**
 * Loads an algorithm from a file of its own, which is TypeScript or JavaScript. From then on a
 * watchdog ends the process if code of the file neither returns nor calls the kernel.
 *
 * @param name the file, as the user wrote it
 * @param base what it is a difference against unless it states that: the algorithm of the kernel
 * @param patience seconds that its code may run without a call
 * @returns the algorithm
 * @throws {InputError} when the file is missing, is no code, throws, or exports no algorithm
 */
export async function loadAlgorithm(
  name: string,
  base: PinAlgorithm,
  patience: number = DEFAULT_PATIENCE,
): Promise<PinAlgorithm> {
  const file = readSource(name);
  const exit = process.exit.bind(process);
  const watchdog = await startWatchdog({ ...file, patience });
  const onLate = (error: unknown): void => exit(reportError(error));
  const { heartbeat } = watchdog;
  return watchdog.duringImport(() => importAlgorithm(name, base, patience, heartbeat, onLate));
}

/**
 * Loads an algorithm without a watchdog.
 *
 * @param name the file, as the user wrote it
 * @param base what it is a difference against unless it states that: the algorithm of the kernel
 * @param patience seconds that its import may wait
 * @param heartbeat shows others that its code is running
 * @param onLate told of what its code throws outside of its steps
 * @returns the algorithm
 * @throws {InputError} when the file is missing, is no code, throws, or exports no algorithm
 */
export async function importAlgorithm(
  name: string,
  base: PinAlgorithm,
  patience: number,
  heartbeat: Int32Array,
  onLate: (error: unknown) => void,
): Promise<PinAlgorithm> {
  const file = readSource(name);
  containOwnCode(file, onLate);
  const exported = await importFile(file, patience);
  if (!('default' in exported)) throw new InputError(name, 'a default export', 'none');
  const { url, text } = file;
  try {
    const baseNamed = (named: string): PinAlgorithm => contender(named).pinAlgorithm;
    return algorithmFrom(exported.default, name, { url, text, heartbeat, base, baseNamed });
  } catch (error) {
    // A getter may throw.
    throw stackOf(error).includes(url) ? importFault(file, error) : error;
  }
}

function readSource(name: string): SourceFile {
  if (isTyped(name) && !process.features.typescript) {
    const expected = 'Node.js 22.18 or later, which runs TypeScript; or a .mjs file';
    throw new InputError(name, expected, `Node.js ${process.versions.node}`);
  }
  checkFile(name, 'an algorithm', MAX_SOURCE);
  try {
    const text = readFileSync(name, 'utf8');
    // Stacks name the file that a link leads to.
    return { name, text, url: pathToFileURL(realpathSync(name)).href };
  } catch (error) {
    throw new InputError(name, 'an algorithm that can be read', messageOf(error));
  }
}

/** Imports the file as a module, whatever a package.json beside it says. */
async function importFile(
  file: SourceFile,
  patience: number,
): Promise<Readonly<Record<string, unknown>>> {
  const { name, url } = file;
  const format = { '.ts': 'module-typescript', '.js': 'module' }[extname(name)];
  // Node 20 has no such hooks, and no need of them.
  const hooks = (nodeModule as Partial<typeof nodeModule>).registerHooks?.({
    load: (loaded, context, next) =>
      next(loaded, loaded === url && format !== undefined ? { ...context, format } : context),
  });
  const late = new AbortController();
  const tooLate = wait(patience * 1000, null, { signal: late.signal }).catch(() => null);
  try {
    const imported = import(url) as Promise<Readonly<Record<string, unknown>>>;
    const exported = await Promise.race([imported, tooLate]);
    if (exported) return exported;
  } catch (error) {
    throw importFault(file, error);
  } finally {
    late.abort();
    hooks?.deregister();
  }
  throw new InputError(name, 'a file that can be imported', 'an await that does not end');
}

/** What was thrown by the import, for the place in the file. */
function importFault(file: SourceFile, error: unknown): InputError {
  const { name, url } = file;
  const message = messageOf(error);
  const [, inFile = ''] = stackOf(error).split(`${url}:`);
  const thrown = /^\d+:\d+/.exec(inFile)?.[0];
  if (error instanceof SyntaxError && thrown === undefined) {
    const place = syntaxPlace(stackOf(error), file) ?? syntaxPlace(checkSyntax(file), file) ?? name;
    return new InputError(place, 'code that Node.js can run', message);
  }
  if ((error as NodeJS.ErrnoException | null)?.code === 'ERR_MODULE_NOT_FOUND' && !thrown) {
    const what = /Cannot find \w+ '(?:[^']*\/)?([^']+)' imported/.exec(message)?.[1] ?? '';
    const place = `${name}${placeOfText(file.text, what)}`;
    return new InputError(place, 'an import that exists (types: import type)', message);
  }
  const place = thrown === undefined ? name : `${name}:${thrown}`;
  return new InputError(place, 'a file that can be imported', message);
}

/** Line and column that a syntax error shows: a head with the line, then a line with carets. */
function syntaxPlace(report: string, { name, url }: SourceFile): string | null {
  const head = /^(\S.*):(\d+)$/m.exec(report);
  const carets = /^([^\S\n]*)\^+[^\S\n]*$/m.exec(report);
  if (!head || !carets) return null;
  const own = [url, fileURLToPath(url), '[stdin]'].includes(head[1]);
  return `${own ? name : head[1]}:${head[2]}:${carets[1].length + 1}`;
}

/** Where Node shows no place itself, a check of the code alone does. */
function checkSyntax({ name, text }: SourceFile): string {
  const input = isTyped(name) ? withoutTypes(text) : text;
  const args = ['--check', '--input-type=module', '-'];
  return spawnSync(process.execPath, args, { input, encoding: 'utf8' }).stderr;
}

/** The code with blanks in place of its types, so that all places stay. */
function withoutTypes(text: string): string {
  const emitWarning = process.emitWarning.bind(process);
  // It warns on stderr that it may change some day.
  process.emitWarning = () => undefined;
  try {
    return nodeModule.stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function isTyped(name: string): boolean {
  return /^\.[mc]?ts$/.test(extname(name));
}

function placeOfText(text: string, what: string): string {
  const at = what === '' ? -1 : text.indexOf(what);
  if (at < 0) return '';
  const before = text.slice(0, at).split('\n');
  return `:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
