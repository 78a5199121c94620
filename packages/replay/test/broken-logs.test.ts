/** Logs that are cut, shuffled or none: an error with a place, or a count; never anything else. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InputError } from '@pinfold/base';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogReader, replayLog, type Log } from '../src/index.ts';

const names = ['aw39-bar.log', 'dpdk-exit.strace', 'memlock-total.log', 'amd-ht.sysfs'];
const lines = names.flatMap((name) =>
  readFileSync(fileURLToPath(new URL(`cases/${name}`, import.meta.url)), 'utf8')
    .split('\n')
    .filter((line) => line !== ''),
);

/** Replays a text; null for an error that names a place. */
async function tryReplay(text: string): Promise<Log | null> {
  try {
    const reader = new LogReader();
    const file = reader.open('a.log');
    file.feed(text);
    file.end();
    const log = reader.end();
    await replayLog(log);
    return log;
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

it('takes lines in any order, cut anywhere', async () => {
  const line = fc
    .record({ line: fc.constantFrom(...lines), cut: fc.nat(200) })
    .map(({ line: whole, cut }) => (cut < 100 ? whole : whole.slice(0, cut - 100)));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 12 }), async (some) => {
      const log = await tryReplay(some.join('\n'));
      const read = log ? [...log.formats.values()].reduce((sum, count) => sum + count, 0) : 0;
      if (log) expect(read + log.foreign + log.malformed.length).toBeLessThanOrEqual(log.lines);
    }),
    { numRuns: 60 },
  );
}, 60_000);

it('takes any bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...lines),
      fc.nat(300),
      fc.string(),
      async (line, at, noise) => {
        await tryReplay(line.slice(0, at) + noise + line.slice(at));
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);

it('says where a binary file is none', () => {
  const file = new LogReader().open('a.bin');
  expect(() => {
    file.feed('text\nELF\0\0\n');
  }).toThrow('a.bin:2: expected a line of text, got binary bytes');
});

it('says how many lines it has read when none is of a log', () => {
  const reader = new LogReader();
  reader.open('a').feed('one\ntwo\n');
  expect(() => reader.end()).toThrow(/expected lines of .*strace.*, got 2 lines of none of them/);
});
