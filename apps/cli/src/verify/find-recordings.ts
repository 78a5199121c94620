/** Finds the recordings that a command line names: files, and folders with everything in them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { InputError } from '@pinfold/base';
import { checkFile, shownPath } from '../read-file.ts';

/** Bytes of a manifest at most. */
const MAX_MANIFEST = 2 ** 26;

/** Files of a folder that are no recordings. */
const OTHER_FILES = new Set(['package.json', 'manifest.json']);

/**
 * Finds recordings.
 *
 * @param paths files and folders, as written; in a folder every `.json` and `.json.gz` is one
 * @returns the files in the order of the paths, each once
 * @throws {InputError} when a path cannot be read, a folder has no recordings, or one that its
 *   manifest lists is missing
 */
export function findRecordings(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => (isFolder(path) ? filesIn(path) : [path])))];
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new InputError(
      shownPath(path),
      'a recording, or a folder of recordings',
      messageOf(error),
    );
  }
}

function filesIn(folder: string): string[] {
  const files = walk(folder).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  checkManifest(folder);
  if (files.length > 0) return files;
  throw new InputError(folder, 'recordings (.json or .json.gz)', 'a folder without any');
}

function walk(folder: string): string[] {
  return readFolder(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : walk(path);
    return /\.json(?:\.gz)?$/.test(entry.name) && !OTHER_FILES.has(entry.name) ? [path] : [];
  });
}

function readFolder(folder: string): ReturnType<typeof readEntries> {
  try {
    return readEntries(folder);
  } catch (error) {
    throw new InputError(folder, 'a folder that can be read', messageOf(error));
  }
}

function readEntries(folder: string): import('node:fs').Dirent[] {
  return readdirSync(folder, { withFileTypes: true });
}

/** A recording that is listed and not there would be one that nobody misses. */
function checkManifest(folder: string): void {
  const manifest = join(folder, 'manifest.json');
  if (!existsSync(manifest)) return;
  for (const file of listed(manifest)) {
    const path = normalize(join(folder, file));
    if (!existsSync(path))
      throw new InputError(path, 'a recording, as the manifest says', 'nothing');
  }
}

function listed(manifest: string): string[] {
  checkFile(manifest, 'a list of recordings', MAX_MANIFEST);
  const list = fieldOf(parseManifest(manifest), 'recordings');
  if (!Array.isArray(list)) {
    throw new InputError(`${manifest}: recordings`, 'a list of recordings', kindOf(list));
  }
  return list.map((recording: unknown, index) => {
    const file = fieldOf(recording, 'file');
    if (typeof file === 'string') return file;
    throw new InputError(`${manifest}: recordings[${index}].file`, 'a file', kindOf(file));
  });
}

function parseManifest(manifest: string): unknown {
  try {
    return JSON.parse(readFileSync(manifest, 'utf8'));
  } catch (error) {
    throw new InputError(manifest, 'a list of recordings as JSON', messageOf(error));
  }
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  return value === null ? 'null' : typeof value;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
