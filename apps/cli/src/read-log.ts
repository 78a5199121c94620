/** Reads the files of logs piece by piece: they may be larger than what a text can hold. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { InputError } from '@pinfold/base';
import { LogReader, type Log } from '@pinfold/replay';
import { shownPath } from './read-file.ts';

const CHUNK = 2 ** 18;
/** Bytes of all logs at most: 4 GiB. */
const MAX_BYTES = 2 ** 32;
/** File descriptor of standard input, and what stands for it in place of a file. */
const [STDIN_FD, STDIN] = [0, '-'];

/**
 * Reads logs.
 *
 * @param files their paths; `-` is standard input
 * @param onProgress called now and then with what was read
 * @returns what they tell
 * @throws {InputError} when one cannot be read, is binary, or none has a line of a known format
 */
export function readLogs(files: readonly string[], onProgress: (what: string) => void): Log {
  const reader = new LogReader();
  for (const file of files) readLog(reader, file, onProgress);
  return reader.end();
}

function readLog(reader: LogReader, path: string, onProgress: (what: string) => void): void {
  const file = path === STDIN ? 'stdin' : shownPath(path);
  const into = reader.open(file);
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.alloc(CHUNK);
  const fd = opened(path, file);
  try {
    for (let total = 0; ;) {
      const read = bytesRead(fd, buffer, file);
      if (read === 0) break;
      total += read;
      if (total > MAX_BYTES) throw new InputError(file, 'a log of at most 4 GiB', 'more');
      into.feed(decoder.write(buffer.subarray(0, read)));
      onProgress(`${file}: ${reader.lines} lines`);
    }
    into.feed(decoder.end());
    into.end();
  } finally {
    if (fd !== STDIN_FD) closeSync(fd);
  }
}

function opened(path: string, file: string): number {
  if (path === STDIN) return STDIN_FD;
  try {
    const fd = openSync(path, 'r');
    if (!fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
  } catch (error) {
    throw new InputError(file, 'a log that can be read', errorText(error));
  }
  throw new InputError(file, 'a log that can be read', 'a folder');
}

function bytesRead(fd: number, buffer: Buffer, file: string): number {
  try {
    return readSync(fd, buffer, 0, buffer.length, null);
  } catch (error) {
    throw new InputError(file, 'a log that can be read', errorText(error));
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
