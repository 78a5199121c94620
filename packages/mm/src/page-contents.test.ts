import { X86_64 } from '@pinfold/base';
import { beforeEach, describe, expect, test } from 'vitest';
import { BASE, bootFaulting, framesAt, map, NO_THP, pin, PIN_WRITE, RW } from '../test/faulting.ts';
import { anonymousMemory } from './anon.ts';
import { adviseCollapse } from './collapse.ts';
import { touchPage } from './fault.ts';
import { dupMmap } from './fork.ts';
import type { Memory } from './memory.ts';
import { migrateForLongterm } from './migrate.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PageContents, readUser, writeUser } from './page-contents.ts';
import { PciBar } from './pci-bar.ts';
import { adviseDontneed, adviseHugepage, munmap } from './syscalls.ts';
import { VM } from './vma.ts';

const ADDRESS = BigInt(BASE) * 4096n;
let mm: MmStruct;
let memory: Memory;

beforeEach(() => {
  ({ mm, memory } = bootFaulting(NO_THP));
  memory.contents = new PageContents(X86_64.pageSize);
});

function write(space: MmStruct, offset: number, ...bytes: number[]): number {
  return writeUser(space, ADDRESS + BigInt(offset), Uint8Array.from(bytes));
}

function read(space: MmStruct, offset: number, length: number): number[] {
  const buffer = new Uint8Array(length).fill(0xee);
  readUser(space, ADDRESS + BigInt(offset), buffer);
  return [...buffer];
}

describe('memory of a process', () => {
  test('is zeros until it is written, and faulted in by both', () => {
    map(mm, BASE, 3, anonymousMemory);
    expect(read(mm, 4094, 4)).toEqual([0, 0, 0, 0]);
    expect(framesAt(mm, BASE, 3)).toEqual([memory.zeroPfn, memory.zeroPfn, -1]);
    expect(write(mm, 4094, 1, 2, 3, 4)).toBe(0);
    expect(read(mm, 4093, 6)).toEqual([0, 1, 2, 3, 4, 0]);
    expect(framesAt(mm, BASE, 2)).not.toContain(memory.zeroPfn);
  });

  test('is copied up to the first page that cannot be accessed', () => {
    map(mm, BASE, 1, anonymousMemory);
    const bytes = new Uint8Array(100).fill(7);
    expect(writeUser(mm, ADDRESS + 4090n, bytes)).toBe(94);
    const buffer = new Uint8Array(100).fill(0xee);
    expect(readUser(mm, ADDRESS + 4090n, buffer)).toBe(94);
    expect(buffer).toEqual(new Uint8Array(100).fill(7, 0, 6));
    expect(readUser(mm, ADDRESS - 1n, buffer)).toBe(100);
    expect(readUser(mm, ADDRESS, new Uint8Array(0))).toBe(0);
  });

  test('cannot be written where the process may not', () => {
    map(mm, BASE, 1, anonymousMemory, VM.READ);
    expect(write(mm, 0, 1)).toBe(1);
    expect(read(mm, 0, 1)).toEqual([0]);
  });

  test('is forgotten with its frames', () => {
    map(mm, BASE, 1, anonymousMemory);
    write(mm, 5, 9);
    const [pfn] = framesAt(mm, BASE, 1);
    expect(memory.contents?.read(pfn)?.[5]).toBe(9);
    adviseDontneed(mm, BASE, 1);
    expect(memory.contents?.read(pfn)).toBeNull();
    expect(read(mm, 5, 1)).toEqual([0]);
  });

  test('has one byte of a page that is only touched, of its own once it is written', () => {
    map(mm, BASE, 2, anonymousMemory);
    for (const i of [0, 1]) {
      touchPage(mm, BASE + i, true);
      memory.contents?.writeByte(framesAt(mm, BASE + i, 1)[0], 3, 1);
    }
    write(mm, 4, 8);
    expect(read(mm, 3, 2)).toEqual([1, 8]);
    expect(read(mm, 4096 + 3, 2)).toEqual([1, 0]);
    memory.contents?.writeByte(framesAt(mm, BASE, 1)[0], 4, 2);
    expect(read(mm, 3, 2)).toEqual([1, 2]);
  });

  test('of a device is what was written there', () => {
    map(mm, BASE, 1, new PciBar(0x400000, 1), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    expect(write(mm, 8, 6)).toBe(0);
    expect(read(mm, 8, 1)).toEqual([6]);
    munmap(mm, BASE, 1);
    expect(memory.contents?.read(0x400000)?.[8]).toBe(6);
  });

  test('all reads as zeros without contents', () => {
    memory.contents = null;
    map(mm, BASE, 1, anonymousMemory);
    expect(write(mm, 0, 1)).toBe(0);
    expect(read(mm, 0, 1)).toEqual([0]);
  });
});

describe('a copy of a page has its bytes', () => {
  test('after a fork, when the parent writes', () => {
    map(mm, BASE, 1, anonymousMemory);
    write(mm, 0, 1, 2);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    write(mm, 0, 9);
    expect(read(mm, 0, 2)).toEqual([9, 2]);
    expect(read(child, 0, 2)).toEqual([1, 2]);
    expect(framesAt(mm, BASE, 1)).not.toEqual(framesAt(child, BASE, 1));
  });

  test('of the child of a process that has pinned it', () => {
    map(mm, BASE, 1, anonymousMemory);
    write(mm, 0, 1, 2);
    pin(mm, BASE, 1, PIN_WRITE);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    expect(framesAt(mm, BASE, 1)).not.toEqual(framesAt(child, BASE, 1));
    write(child, 0, 5);
    expect([read(mm, 0, 2), read(child, 0, 2)]).toEqual([
      [1, 2],
      [5, 2],
    ]);
  });

  test('of a private mapping of a file', () => {
    const file = new MappedFile('shmem', 1);
    map(mm, BASE, 1, file, RW | VM.SHARED);
    write(mm, 0, 1, 2);
    const other = new MmStruct(memory);
    map(other, BASE, 1, file);
    expect(read(other, 0, 2)).toEqual([1, 2]);
    write(other, 1, 7);
    expect([read(mm, 0, 2), read(other, 0, 2)]).toEqual([
      [1, 2],
      [1, 7],
    ]);
  });

  test('that was written without being read before', () => {
    const file = new MappedFile('shmem', 1);
    map(mm, BASE, 1, file, RW | VM.SHARED);
    write(mm, 0, 1, 2);
    const other = new MmStruct(memory);
    map(other, BASE, 1, file);
    write(other, 1, 7);
    expect(read(other, 0, 2)).toEqual([1, 7]);
  });

  test('that was migrated', () => {
    map(mm, BASE, 1, anonymousMemory);
    write(mm, 0, 1, 2);
    const [before] = framesAt(mm, BASE, 1);
    expect(migrateForLongterm(mm, BASE)).toBe(0);
    expect(framesAt(mm, BASE, 1)).not.toEqual([before]);
    expect(read(mm, 0, 2)).toEqual([1, 2]);
    expect(memory.contents?.read(before)).toBeNull();
  });

  test('that was collapsed', () => {
    map(mm, BASE, 512, anonymousMemory);
    write(mm, 4096 * 3, 1, 2);
    adviseHugepage(mm, BASE, 512, VM.HUGEPAGE);
    expect(adviseCollapse(mm, BASE, 512)).toBe(0);
    expect(read(mm, 4096 * 3, 2)).toEqual([1, 2]);
    expect(read(mm, 0, 2)).toEqual([0, 0]);
  });
});
