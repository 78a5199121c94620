import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  map,
  pin,
  PIN_READ,
  PIN_WRITE,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN } from '../test/free-frames.ts';
import { touchPage, VM_FAULT } from './fault.ts';
import { dupMmap } from './fork.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { PG } from './page-state.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { adviseDontneed, doMmap, munmap, type MmapCall } from './syscalls.ts';
import { unpinUserPages } from './unpin.ts';
import { VM, Vma } from './vma.ts';
import { exitMmap } from './zap.ts';

const GIB = 2 ** 18;
const huge2m = new HugetlbMemory(9);

/** A machine with pages of 2 MiB mapped at BASE. */
function hugetlb(pages: number, options: FaultBoot, flags = RW): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, 512 * pages, huge2m, flags | VM.HUGETLB);
  return machine;
}

describe('a fault', () => {
  test.each([
    ['a write makes the page writable', true, 'write anonExclusive'],
    ['a read does not, and there is no zero page', false, 'anonExclusive'],
  ])('gets a zeroed huge page in one leaf: %s', (_, write, bits) => {
    const { mm, memory, memmap } = hugetlb(2, { hugePages: 2 });
    expect(counting(memory, () => touchPage(mm, BASE + 700, write))).toEqual({
      pageFaults: 1,
      pagesZeroed: 512,
    });
    expect(entryAt(mm, BASE + 512)).toEqual({ pfn: HUGE_PFN, level: 1, bits });
    expect(entryAt(mm, BASE)).toBeNull();
    expect([...memmap.foliosInUse()]).toEqual([
      { pfn: HUGE_PFN, order: 9, refcount: 1, pincount: 0, flags: PG.hugetlb | PG.anon },
    ]);
  });

  test('gets a page of 1 GiB in one leaf', () => {
    const { mm, memory } = bootFaulting({ gigaPages: 1 });
    map(mm, GIB, GIB, new HugetlbMemory(18), RW | VM.HUGETLB);
    expect(counting(memory, () => touchPage(mm, 2 * GIB - 1, true)).pagesZeroed).toBe(GIB);
    expect(entryAt(mm, GIB)).toMatchObject({ level: 2, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[18, 1, 0]]);
    exitMmap(mm);
    expect(memory.hugetlbPool(18)?.freeHugePages).toBe(1);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('a write after a read reuses the page', () => {
    const { mm, memory } = hugetlb(1, { hugePages: 1 });
    touchPage(mm, BASE, false);
    expect(counting(memory, () => touchPage(mm, BASE + 3, true))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' });
  });

  test('is a SIGBUS when the pool is empty, EFAULT for a pin', () => {
    const machine = hugetlb(2, { hugePages: 1 }, RW | VM.NORESERVE);
    const { mm } = machine;
    touchPage(mm, BASE, true);
    const before = stateOf(machine);
    expect(touchPage(mm, BASE + 512, true)).toBe(VM_FAULT.SIGBUS);
    expect(pin(mm, BASE + 512, 1).ret).toBe(-Errno.EFAULT);
    expect(mm.gupFailure).toEqual({
      vpn: BASE + 512,
      why: 'the fault ended with VM_FAULT_SIGBUS: nothing is behind the page',
    });
    expect(stateOf(machine)).toEqual(before);
  });
});

describe('mmap', () => {
  test('reserves its pages, and is ENOMEM without them', () => {
    const machine = hugetlb(2, { hugePages: 3 });
    const pool = machine.memory.hugetlbPool(9);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
    const before = stateOf(machine);
    const second = { vpn: BASE + 1024, npage: 1024, flags: RW | VM.HUGETLB, ops: huge2m };
    expect(doMmap(machine.mm, second)).toBe(-Errno.ENOMEM);
    expect(stateOf(machine)).toEqual(before);
    expect(doMmap(machine.mm, { ...second, npage: 512 })).toBe(0);
    expect(pool?.resvHugePages).toBe(3);
  });

  test('must not cut a huge page', () => {
    const { mm, memory } = hugetlb(1, { hugePages: 2 });
    for (const [vpn, npage, pgoff] of [
      [BASE + 1025, 512, 0],
      [BASE + 1024, 100, 0],
      [BASE + 1024, 512, 1],
    ]) {
      const call = { vpn, npage, pgoff, flags: RW | VM.HUGETLB, ops: huge2m };
      expect(doMmap(mm, call)).toBe(-Errno.EINVAL);
    }
    expect(memory.hugetlbPool(9)?.resvHugePages).toBe(1);
  });

  test.each<[string, (machine: Faulting) => void]>([
    ['munmap', ({ mm }) => munmap(mm, BASE, 1024)],
    ['the end of the process', ({ mm }) => exitMmap(mm)],
  ])('what was reserved and not used is given back at %s', (_, end) => {
    const machine = hugetlb(2, { hugePages: 3 });
    touchPage(machine.mm, BASE, true);
    end(machine);
    expect(machine.memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 3, resvHugePages: 0 });
  });

  test('a page that was dropped is reserved again', () => {
    const { mm, memory } = hugetlb(2, { hugePages: 2 });
    touchPage(mm, BASE, true);
    expect(adviseDontneed(mm, BASE, 1024)).toBe(0);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 2, resvHugePages: 2 });
  });

  test('a fault without a reservation finds only what nobody has reserved', () => {
    const { mm, memory } = hugetlb(1, { hugePages: 1 });
    const other = { vpn: BASE + 512, npage: 512, ops: huge2m };
    expect(doMmap(mm, { ...other, flags: RW | VM.HUGETLB | VM.NORESERVE })).toBe(0);
    expect(touchPage(mm, BASE + 512, true)).toBe(VM_FAULT.SIGBUS);
    expect(touchPage(mm, BASE, true)).toBe(0);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 0, resvHugePages: 0 });
  });

  test('reserves nothing with MAP_NORESERVE', () => {
    const { memory } = hugetlb(5, { hugePages: 1 }, RW | VM.NORESERVE);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 1, resvHugePages: 0 });
  });
});

describe('the pool', () => {
  test('loses a free page and a reserved one with each fault', () => {
    const { mm, memory } = hugetlb(2, { hugePages: 3 });
    touchPage(mm, BASE, true);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 2, resvHugePages: 1 });
    touchPage(mm, BASE + 5, true);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 2, resvHugePages: 1 });
    touchPage(mm, BASE + 512, false);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 1, resvHugePages: 0 });
  });

  test.each<[string, (machine: Faulting) => void]>([
    ['munmap', ({ mm }) => munmap(mm, BASE, 1024)],
    ['the end of the process', ({ mm }) => exitMmap(mm)],
  ])('gets all pages back at %s', (_, end) => {
    const machine = hugetlb(2, { hugePages: 3 });
    for (const vpn of [BASE, BASE + 512]) touchPage(machine.mm, vpn, true);
    end(machine);
    expect(machine.memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 3, resvHugePages: 0 });
  });

  test('gets a pinned page back with its last pin', () => {
    const { mm, memory, memmap } = hugetlb(2, { hugePages: 2 });
    const { ret, pages } = pin(mm, BASE + 510, 4);
    expect(ret).toBe(4);
    exitMmap(mm);
    expect(foliosOf(memory)).toEqual([
      [9, 2, 2],
      [9, 2, 2],
    ]);
    unpinUserPages(memory, pages, 3);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(1);
    unpinUserPages(memory, pages, 1, 3);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(2);
    expect([...memmap.foliosInUse()]).toEqual([]);
  });
});

describe('a shared mapping', () => {
  /** A pool of four pages, and a file with its first pages mapped. */
  function shared(pages: number, flags: number = VM.SHARED): Faulting & { file: MappedFile } {
    const machine = bootFaulting({ hugePages: 4 });
    const file = new MappedFile('hugetlbfs', 512 * 4, 9);
    map(machine.mm, BASE, 512 * pages, file, RW | VM.HUGETLB | flags);
    return { ...machine, file };
  }

  const call = (file: MappedFile, at: number, pages: number, flags = VM.SHARED): MmapCall => ({
    ...{ vpn: BASE + 4096 + 512 * at, npage: 512 * pages, pgoff: 512 * at, ops: file },
    flags: RW | VM.HUGETLB | flags,
  });

  test('reserves pages of the file, each once', () => {
    const { mm, memory, file } = shared(2);
    const pool = memory.hugetlbPool(9);
    expect(pool).toMatchObject({ freeHugePages: 4, resvHugePages: 2 });
    expect(doMmap(mm, call(file, 0, 3))).toBe(0);
    expect(pool).toMatchObject({ freeHugePages: 4, resvHugePages: 3 });
    // What is allocated needs no reservation.
    touchPage(mm, BASE, true);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
    map(new MmStruct(memory), BASE, 512 * 3, file, RW | VM.HUGETLB | VM.SHARED);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
  });

  test('is ENOMEM, and nothing changes, when the pool has too few for another file', () => {
    const machine = shared(2);
    const other = new MappedFile('hugetlbfs', 512 * 4, 9);
    const before = stateOf(machine);
    expect(doMmap(machine.mm, call(other, 0, 3))).toBe(-Errno.ENOMEM);
    expect(stateOf(machine)).toEqual(before);
    expect(doMmap(machine.mm, call(other, 0, 2))).toBe(0);
    expect(machine.memory.hugetlbPool(9)?.resvHugePages).toBe(4);
  });

  test('uses a reservation up by the page’s first fault, whoever faults', () => {
    const { mm, memory, file } = shared(4);
    const pool = memory.hugetlbPool(9);
    const other = new MmStruct(memory);
    map(other, BASE, 512 * 4, file, RW | VM.HUGETLB | VM.SHARED | VM.NORESERVE);
    for (const space of [other, mm]) expect(touchPage(space, BASE, true)).toBe(0);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 3 });
    expect(pin(mm, BASE, 512 * 4).ret).toBe(512 * 4);
    expect(pool).toMatchObject({ freeHugePages: 0, resvHugePages: 0 });
  });

  test('a page that is written into the file uses its reservation', () => {
    const { mm, memory, file } = shared(4);
    file.fill(mm, new Vma(0, 512 * 4, RW, file));
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 0, resvHugePages: 0 });
  });

  test('keeps its reservations with the file, and they go with it', () => {
    const { mm, memory, file } = shared(3);
    const pool = memory.hugetlbPool(9);
    touchPage(mm, BASE, true);
    munmap(mm, BASE, 512 * 3);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
    exitMmap(mm);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
    file.evict(memory);
    expect(pool).toMatchObject({ freeHugePages: 4, resvHugePages: 0 });
  });

  test('of a file that nobody holds takes all with its last part', () => {
    const { mm, memory, file } = shared(3);
    const pool = memory.hugetlbPool(9);
    file.held = false;
    touchPage(mm, BASE, true);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    munmap(mm, BASE, 512 * 2);
    exitMmap(child);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 2 });
    munmap(mm, BASE + 1024, 512);
    expect(pool).toMatchObject({ freeHugePages: 4, resvHugePages: 0 });
  });

  test('reserves nothing with MAP_NORESERVE, and finds only what nobody has reserved', () => {
    const { mm, memory, file } = shared(4, VM.SHARED | VM.NORESERVE);
    const pool = memory.hugetlbPool(9);
    expect(pool?.resvHugePages).toBe(0);
    const other = new MappedFile('hugetlbfs', 512 * 4, 9);
    expect(doMmap(mm, call(other, 0, 3))).toBe(0);
    expect([0, 1].map((i) => touchPage(mm, BASE + 512 * i, true))).toEqual([0, VM_FAULT.SIGBUS]);
    expect(doMmap(mm, call(file, 3, 1))).toBe(-Errno.ENOMEM);
    expect(pool).toMatchObject({ freeHugePages: 3, resvHugePages: 3 });
  });
});

describe('a private mapping of a file', () => {
  test('keeps its reservation while it reads the file’s page, for its own', () => {
    const { mm, memory } = bootFaulting({ hugePages: 3 });
    const pool = memory.hugetlbPool(9);
    const file = new MappedFile('hugetlbfs', 512, 9);
    map(mm, BASE, 512, file, RW | VM.HUGETLB | VM.SHARED);
    map(mm, BASE + 512, 512, file, RW | VM.HUGETLB);
    touchPage(mm, BASE, true);
    touchPage(mm, BASE + 512, false);
    expect(pool).toMatchObject({ freeHugePages: 2, resvHugePages: 1 });
    touchPage(mm, BASE + 512, true);
    expect(pool).toMatchObject({ freeHugePages: 1, resvHugePages: 0 });
    adviseDontneed(mm, BASE + 512, 512);
    touchPage(mm, BASE + 512, false);
    expect(pool).toMatchObject({ freeHugePages: 2, resvHugePages: 1 });
    munmap(mm, BASE + 512, 512);
    expect(pool).toMatchObject({ freeHugePages: 2, resvHugePages: 0 });
  });
});

describe('a pin of untouched memory', () => {
  test.each([
    ['to read: a huge page is exclusive at once', PIN_READ],
    ['to write', PIN_WRITE],
  ])('costs one fault per huge page, %s', (_, flags) => {
    const { mm, memory } = hugetlb(2, { hugePages: 2 });
    const counted = counting(memory, () => pin(mm, BASE, 1024, flags));
    expect(counted).toMatchObject({ pageFaults: 2, pagesZeroed: 1024, gupSteps: 4, folioGrabs: 4 });
    expect(foliosOf(memory)).toEqual([
      [9, 513, 512],
      [9, 513, 512],
    ]);
  });
});
