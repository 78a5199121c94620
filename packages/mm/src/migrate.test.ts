import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { folioOf, RULES } from '../test/machine.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { dupMmap } from './fork.ts';
import { FOLL } from './foll.ts';
import { pinUserPagesRemote } from './gup.ts';
import { MemMap } from './memmap.ts';
import type { MemoryRange } from './sections.ts';
import { Memory } from './memory.ts';
import { migrateForLongterm } from './migrate.ts';
import { MmStruct } from './mm-struct.ts';
import { BuddyAllocator } from './page-alloc.ts';
import { MappedFile } from './page-cache.ts';
import { doMmap } from './syscalls.ts';
import { unpinUserPages } from './unpin.ts';
import { VM } from './vma.ts';
import { exitMmap } from './zap.ts';

const GIB = 2 ** 18;
const NORMAL: MemoryRange = { pfn: 4 * GIB, npage: GIB };
const MOVABLE: MemoryRange = { pfn: 5 * GIB, npage: GIB, zone: 'movable' };
const BASE = 0x4000;
const RW = VM.READ | VM.WRITE;

function boot(ranges: readonly MemoryRange[] = [NORMAL, MOVABLE]): MmStruct {
  const memory = new Memory(new MemMap(ranges), RULES.nth_page);
  memory.frames = new BuddyAllocator(ranges);
  return new MmStruct(memory);
}

function mapped(mm: MmStruct, npage: number, flags = RW, ops = anonymousMemory): void {
  expect(doMmap(mm, { vpn: BASE, npage, flags, ops })).toBe(0);
  for (let i = 0; i < npage; i++) expect(touchPage(mm, BASE + i, true)).toBe(0);
}

function pin(mm: MmStruct, npage: number): number {
  const pages = mm.memory.memmap.pageArray(npage);
  return pinUserPagesRemote(mm, BASE, npage, FOLL.LONGTERM | FOLL.WRITE, pages);
}

function isMovable(mm: MmStruct, i: number): boolean {
  return !mm.memory.memmap.longtermPinnable(mm.pageTable.pfnAt(BASE + i));
}

describe('a longterm pin', () => {
  test('moves small folios out of ZONE_MOVABLE, and pins them where they are then', () => {
    const mm = boot();
    mm.memory.thp = { ...mm.memory.thp, enabled: 'never' };
    mapped(mm, 8);
    expect([0, 7].map((i) => isMovable(mm, i))).toEqual([true, true]);
    expect(pin(mm, 8)).toBe(8);
    expect([0, 7].map((i) => isMovable(mm, i))).toEqual([false, false]);
    const { vmstat, counters, memmap } = mm.memory;
    // Everything was pinned, put, moved, and pinned again.
    expect([vmstat.nrFollPinAcquired, vmstat.nrFollPinReleased]).toEqual([16, 8]);
    expect(counters.snapshot()).toMatchObject({
      gupCalls: 1,
      pagesCopied: 8,
      unpinUserPagesCalls: 1,
    });
    expect(folioOf(memmap, mm.pageTable.pfnAt(BASE))).toMatchObject({ refcount: 1025 });
  });

  test('moves a THP as a THP', () => {
    const mm = boot();
    mapped(mm, 512);
    expect(pin(mm, 512)).toBe(512);
    expect(isMovable(mm, 0)).toBe(false);
    expect(mm.pageTable.walk(BASE) && mm.pageTable.level).toBe(1);
    const folio = folioOf(mm.memory.memmap, mm.pageTable.pfnAt(BASE));
    expect(folio).toEqual({ order: 9, refcount: 513, pincount: 512 });
    expect(mm.memory.counters.snapshot().pagesCopied).toBe(512);
  });

  test('faults pages in where they may stay', () => {
    const mm = boot();
    expect(doMmap(mm, { vpn: BASE, npage: 512, flags: RW, ops: anonymousMemory })).toBe(0);
    expect(pin(mm, 512)).toBe(512);
    expect(mm.memory.vmstat.nrFollPinReleased).toBe(0);
    expect(mm.memory.counters.snapshot().pagesCopied).toBe(0);
  });

  test('moves memory out of a CMA area', () => {
    const cma: MemoryRange = { pfn: 5 * GIB, npage: 32768, cma: true };
    const mm = boot([NORMAL, cma]);
    mapped(mm, 4);
    expect(isMovable(mm, 0)).toBe(true);
    expect(pin(mm, 4)).toBe(4);
    expect(isMovable(mm, 0)).toBe(false);
  });

  test('is ENOMEM without memory to move to, and leaves nothing pinned', () => {
    const mm = boot([MOVABLE]);
    mapped(mm, 4);
    const before = mm.pageTable.pfnAt(BASE);
    expect(pin(mm, 4)).toBe(-Errno.ENOMEM);
    expect(mm.memory.vmstat.pinsHeld).toBe(0);
    expect(mm.pageTable.pfnAt(BASE)).toBe(before);
    expect(mm.gupFailure?.why).toMatch(/could not be migrated/);
  });

  test('is ENOMEM for a page with another pin', () => {
    const mm = boot();
    mm.memory.thp = { ...mm.memory.thp, enabled: 'never' };
    mapped(mm, 4);
    const pages = mm.memory.memmap.pageArray(1);
    expect(pinUserPagesRemote(mm, BASE + 2, 1, FOLL.WRITE, pages)).toBe(1);
    expect(pin(mm, 4)).toBe(-Errno.ENOMEM);
    expect(mm.memory.vmstat.pinsHeld).toBe(1);
    unpinUserPages(mm.memory, pages, 1);
    expect(pin(mm, 4)).toBe(4);
  });
});

describe('what else maps the folio', () => {
  test('a page shared by fork moves for both', () => {
    const mm = boot();
    mm.memory.thp = { ...mm.memory.thp, enabled: 'never' };
    mapped(mm, 2);
    const child = new MmStruct(mm.memory);
    expect(dupMmap(mm, child)).toBe(0);
    expect(migrateForLongterm(mm, BASE)).toBe(0);
    const pfn = mm.pageTable.pfnAt(BASE);
    expect(child.pageTable.pfnAt(BASE)).toBe(pfn);
    expect(folioOf(mm.memory.memmap, pfn).refcount).toBe(2);
  });

  test('a page of a memfd moves in every mapping and in the cache', () => {
    const mm = boot();
    const file = new MappedFile('shmem', 4);
    mapped(mm, 4, RW | VM.SHARED, file);
    const again = { vpn: 2 * BASE, npage: 4, flags: RW | VM.SHARED, ops: file };
    expect(doMmap(mm, again)).toBe(0);
    expect(touchPage(mm, 2 * BASE + 1, true)).toBe(0);
    expect(migrateForLongterm(mm, BASE + 1)).toBe(0);
    const pfn = mm.pageTable.pfnAt(BASE + 1);
    expect(mm.memory.memmap.longtermPinnable(pfn)).toBe(true);
    expect(mm.pageTable.pfnAt(2 * BASE + 1)).toBe(pfn);
    expect(folioOf(mm.memory.memmap, pfn).refcount).toBe(3);
    // A mapping that comes later finds the page in the cache.
    expect(doMmap(mm, { ...again, vpn: 3 * BASE })).toBe(0);
    expect(touchPage(mm, 3 * BASE + 1, false)).toBe(0);
    expect(mm.pageTable.pfnAt(3 * BASE + 1)).toBe(pfn);
  });

  test('everything is free again when the process and the file are gone', () => {
    const mm = boot();
    const file = new MappedFile('shmem', 4);
    mapped(mm, 4, RW | VM.SHARED, file);
    expect(migrateForLongterm(mm, BASE)).toBe(0);
    exitMmap(mm);
    file.evict(mm.memory);
    expect([...mm.memory.memmap.foliosInUse()]).toEqual([]);
    const buddy = mm.memory.frames as BuddyAllocator;
    expect([buddy.freePages('NORMAL'), buddy.freePages('MOVABLE')]).toEqual([GIB, GIB]);
  });
});
