/** Files that are whole or not there, folders that two make at once, reports of any width. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkAlgorithm } from '@pinfold/check';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkText } from '../src/check/check-text.ts';
import { makeFolders, replaceFile, writeNewFile } from '../src/write-file.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-write-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

it('a file is replaced by a whole one, and nothing else is left', () => {
  const dir = join(folder, 'replace');
  mkdirSync(dir);
  const file = join(dir, 'a.scn');
  writeFileSync(file, 'old');
  replaceFile(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(readdirSync(dir)).toEqual(['a.scn']);
});

it('a new file is not written over another', () => {
  const file = join(folder, 'there');
  writeNewFile(file, 'one');
  expect(() => {
    writeNewFile(file, 'two');
  }).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  expect(readFileSync(file, 'utf8')).toBe('one');
});

it('what cannot be written leaves nothing behind', () => {
  // The device is always full.
  expect(() => {
    replaceFile('/dev/full', 'text');
  }).toThrow('ENOSPC');
  expect(() => {
    replaceFile(join(folder, 'none/a.scn'), 'text');
  }).toThrow('ENOENT');
  expect(readdirSync(folder)).not.toContain('none');
});

it('folders are made whether or not they are there', () => {
  const dir = join(folder, 'a/b/c');
  makeFolders(dir);
  makeFolders(dir);
  expect(readdirSync(join(folder, 'a/b'))).toEqual(['c']);
  expect(() => {
    makeFolders('/proc/none/below');
  }).toThrow();
});

it('the report of a check is as wide as the terminal, but for commands', async () => {
  const report = await checkAlgorithm({ algorithm: pinAlgorithm('hugetlb-v1-2025'), runs: 300 });
  const command = 'pinfold run --algorithm hugetlb-v1-2025';
  const text = checkText(report, command, ['a.scn'], '', 80);
  const long = text.split('\n').filter((line) => line.length > 80 && !line.includes(command));
  expect(long).toEqual([]);
  const wide = checkText(report, command, ['a.scn'], '', 200);
  expect(wide.split('\n').some((line) => line.length > 100)).toBe(true);
  expect(wide.replace(/\s+/g, ' ')).toBe(text.replace(/\s+/g, ' '));
});
