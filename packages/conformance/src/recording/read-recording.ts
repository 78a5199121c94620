/** Reads recordings through a reader of bytes that the caller hands in: from files, or the web. */
import { InputError } from '@pinfold/base';
import { parseRecording } from './parse-recording.ts';
import type { Recording } from './recording.ts';

/** Bytes of a recording at most: a small gzip file may hold very many. */
const MAX_LENGTH = 2 ** 29;

/** Reads the bytes of a file; rejects when it cannot. */
export type ByteReader = (file: string) => Promise<Uint8Array>;

/** As far as it is used here; a browser and Node have it. */
declare const DecompressionStream: new (format: 'gzip') => {
  readonly writable: {
    getWriter(): { write(chunk: Uint8Array): Promise<void>; close(): Promise<void> };
  };
  readonly readable: {
    getReader(): {
      read(): Promise<{ done: boolean; value?: Uint8Array }>;
      cancel(): Promise<void>;
    };
  };
};
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: true },
) => { decode(bytes: Uint8Array): string };

/**
 * Reads a recording.
 *
 * @param file its name; one that ends in `.gz` is decompressed
 * @param read reads its bytes
 * @param limit bytes that it may have, unpacked; default 512 MiB
 * @returns the recording
 * @throws {InputError} when it cannot be read, is not compressed as its name says, or is no recording
 */
export async function readRecording(
  file: string,
  read: ByteReader,
  limit: number = MAX_LENGTH,
): Promise<Recording> {
  const bytes = await attempt(() => read(file), file, 'a file that can be read', messageOf);
  if (bytes.length === 0) throw new InputError(file, 'a recording', 'an empty file');
  const content = file.endsWith('.gz')
    ? await attempt(
        () => gunzip(bytes, limit),
        file,
        'a complete gzip file',
        () => 'damaged data',
      )
    : bytes;
  if (content === null) {
    throw new InputError(file, `a recording of at most ${limit} bytes`, 'more');
  }
  const decode = (): string => new TextDecoder('utf-8', { fatal: true }).decode(content);
  const text = await attempt(decode, file, 'UTF-8', () => 'other bytes');
  return parseRecording(text, file);
}

async function attempt<Value>(
  act: () => Value | Promise<Value>,
  file: string,
  expected: string,
  got: (error: unknown) => string,
): Promise<Value> {
  try {
    return await act();
  } catch (error) {
    throw new InputError(file, expected, got(error));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The content of a gzip file; null if there is more than a recording has. */
async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array | null> {
  const { readable, writable } = new DecompressionStream('gzip');
  const writer = writable.getWriter();
  const written = writer.write(bytes).then(() => writer.close());
  // A fault shows at the reader too; here it would be one that nobody handles.
  written.catch(() => undefined);
  const reader = readable.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (value) chunks.push(value);
    length += value?.length ?? 0;
    if (length > limit) {
      await reader.cancel();
      return null;
    }
  }
  await written;
  return concatenate(chunks);
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
