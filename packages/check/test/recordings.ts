/** The recordings of this repository, as the manifest lists them. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { readRecording, type Recording } from '@pinfold/conformance';
import { z } from 'zod';

/** Folder of the recordings package. */
const RECORDINGS: URL = new URL('../../recordings/', import.meta.url);

/** The manifest: every recording, with its hash. */
export const manifest: { recordings: { file: string; sha256: string }[] } = z
  .object({ recordings: z.array(z.object({ file: z.string(), sha256: z.string() })) })
  .parse(JSON.parse(readFileSync(new URL('manifest.json', RECORDINGS), 'utf8')));

/** Reads a recording of the manifest. */
export function read(file: string): Promise<Recording> {
  return readRecording(file, (path) => readFile(new URL(path, RECORDINGS)));
}
