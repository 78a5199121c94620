// Copies the recordings and the scenarios of `pinfold explain` to where the pages fetch them, with
// an index of what there is.
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { familyOf } from '@pinfold/conformance';
import { parseScenario } from '@pinfold/guest';
import type { ExampleIndex, RecordingIndex } from '../src/playground/index-files.ts';

const target = join(import.meta.dirname, '../public/data');
const recordings = dirname(fileURLToPath(import.meta.resolve('recordings/manifest.json')));
const scenarios = join(
  dirname(fileURLToPath(import.meta.resolve('@pinfold/guest/package.json'))),
  'scenarios/why',
);

/** What the manifest lists, by kernel. */
function listed(): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(recordings, 'manifest.json'), 'utf8')) as {
    readonly recordings: readonly { readonly file: string }[];
  };
  return manifest.recordings.map(({ file }) => file);
}

/** The title that a recording has in the file, without checking the rest of it. */
function titleOf(file: string): { title: string; family: string } {
  const recording = JSON.parse(
    gunzipSync(readFileSync(join(recordings, file))).toString('utf8'),
  ) as { readonly title: string; readonly scenario: string; readonly aw_bits: number };
  return { title: recording.title, family: familyOf(recording, file) };
}

function recordingIndex(files: readonly string[]): RecordingIndex {
  const kernels = new Map<string, string[]>();
  for (const file of files) {
    const [kernel = '', ...path] = file.split('/');
    const name = path.join('/');
    kernels.set(name, [...(kernels.get(name) ?? []), kernel]);
  }
  return [...kernels].map(([name, of]) => ({
    ...{ name, kernels: of },
    ...titleOf(`${of[0] ?? ''}/${name}`),
  }));
}

function exampleIndex(): ExampleIndex {
  return globSync('*.scn', { cwd: scenarios })
    .sort()
    .map((file) => {
      const script = readFileSync(join(scenarios, file), 'utf8');
      return { name: basename(file, '.scn'), title: parseScenario(script, file).title, script };
    });
}

const files = listed();
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of files) cpSync(join(recordings, file), join(target, 'recordings', file));
writeFileSync(join(target, 'recordings.json'), JSON.stringify(recordingIndex(files)));
writeFileSync(join(target, 'examples.json'), JSON.stringify(exampleIndex()));
