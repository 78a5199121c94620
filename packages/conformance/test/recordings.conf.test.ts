/**
 * The model against every recording of every kernel. `verified.json` lists what has to agree: per
 * kernel and family the levels. It grows only.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, promisify } from 'node:util';
import { kernelVersion } from '@pinfold/kernels';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  levels,
  modelMachineForPass,
  verifyRecording,
  type RecordedMachineFactory,
  type Summary,
} from '../src/index.ts';
import { manifest, read, RECORDINGS } from './files.ts';

/** Step-levels of a family that may be skipped: more, and it is not verified. */
const MAX_SKIPPED = 0.05;
/** Processes at a time: more than there are cores only hold each other up. */
const PROCESSES = 2;
/** A recording on which any two releases differ. */
const CONTROL = 'main/b33-shuffled-1.json.gz';
/** Of kernels that have not got it: another. */
const CONTROLS: Readonly<Record<string, string>> = { '7.2-iofd': 'random/r016.json.gz' };

type Verified = Record<string, Record<string, string[]>>;

const verified = JSON.parse(
  readFileSync(new URL('verified.json', import.meta.url), 'utf8'),
) as Verified;
const kernels = [...new Set(manifest.recordings.map(({ file }) => file.split('/')[0]))];
const summaries = new Map<string, Summary>();

/** The release of a folder: those of one release on other hardware end in what that is. */
function releaseOf(folder: string): string {
  return folder.split('-')[0];
}

/** In a process of its own: the hot loops of the model are slow in vitest. */
async function verifyKernel(kernel: string): Promise<Summary> {
  const script = fileURLToPath(new URL('verify-kernel.ts', import.meta.url));
  const args = ['--conditions=@pinfold/source', script, kernel];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout) as Summary;
}

beforeAll(async () => {
  const queue = kernels.values();
  const worker = async (): Promise<void> => {
    for (const kernel of queue) summaries.set(kernel, await verifyKernel(kernel));
  };
  await Promise.all(Array.from({ length: PROCESSES }, worker));
});

/** What of a kernel agrees, in the shape of the list. */
function agreeing(kernel: string): Verified[string] {
  const rows = (summaries.get(kernel)?.rows ?? []).map(({ family, levels: counts }) => {
    const names = levels
      .map(({ name }) => name)
      .filter((name) => {
        const { passed, failed, skipped } = counts[name] ?? { passed: 0, failed: 0, skipped: 0 };
        return passed > 0 && failed === 0 && skipped <= MAX_SKIPPED * (passed + skipped);
      });
    return [family, names] as const;
  });
  return Object.fromEntries(rows.filter(([, names]) => names.length > 0));
}

/** Whether two releases have the same rules, so that what one does, the other does. */
function areAlike(one: string, other: string): boolean {
  const [first, second] = [one, other].map((kernel) => {
    const { mm, iommu, type1 } = kernelVersion(releaseOf(kernel));
    return [mm, iommu, type1].map((table) => ({ ...table, source: '' }));
  });
  return isDeepStrictEqual(first, second);
}

// What agrees with every release's rules would say nothing about any.
describe.each(kernels)('the rules of another release than %s', (kernel) => {
  const others = kernels.filter((other) => !areAlike(other, kernel));

  it.each(others)('%s do not agree', async (other) => {
    const file = `${kernel}/${CONTROLS[kernel] ?? CONTROL}`;
    const factory: RecordedMachineFactory = (recording, pass) =>
      modelMachineForPass({ ...recording, kernel: releaseOf(other) }, pass);
    const { results } = await verifyRecording(await read(file), file, factory);
    expect(results.filter(({ verdict }) => verdict === 'failed')).not.toEqual([]);
  });
});

describe('the manifest', () => {
  it('lists every recording, and every one is unchanged', () => {
    const files = readdirSync(RECORDINGS, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.json.gz') && !file.startsWith('node_modules'))
      .sort();
    expect(manifest.recordings.map(({ file }) => file).sort()).toEqual(files);
    for (const { file, sha256 } of manifest.recordings) {
      const content = readFileSync(new URL(file, RECORDINGS));
      expect(createHash('sha256').update(content).digest('hex'), file).toBe(sha256);
    }
  });
});

it('has recordings of every kernel that is listed', () => {
  expect(Object.keys(verified).filter((kernel) => !kernels.includes(kernel))).toEqual([]);
});

describe.each(kernels)('%s', (kernel) => {
  const cases = Object.entries(verified[kernel] ?? {}).flatMap(([family, names]) =>
    names.map((name) => [family, name] as const),
  );

  it('has run every recording', () => {
    const rows = summaries.get(kernel)?.rows ?? [];
    const listed = manifest.recordings.filter(({ file }) => file.startsWith(`${kernel}/`));
    expect(rows.reduce((sum, { recordings }) => sum + recordings, 0)).toBe(listed.length);
  });

  it.each(cases)('family %s, level %s', (family, name) => {
    const summary = summaries.get(kernel);
    const row = summary?.rows.find((candidate) => candidate.family === family);
    const { passed = 0, failed = 0, skipped = 0 } = row?.levels[name] ?? {};
    const of = (summary?.failures ?? []).filter(({ first }) => first.family === family);
    expect(failed, JSON.stringify(of.map(({ first }) => first))).toBe(0);
    expect(passed).toBeGreaterThan(0);
    expect(skipped).toBeLessThanOrEqual(MAX_SKIPPED * (passed + skipped));
  });

  it('lists all that agrees in verified.json', () => {
    expect(verified[kernel] ?? {}).toMatchObject(agreeing(kernel));
  });
});
