import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { BASE, bootFaulting, map, NO_THP, RW, stateOf } from '../test/faulting.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { HugetlbMemory } from './hugetlb.ts';
import type { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { TASK_SIZE_PAGES } from './page-table.ts';
import { doMmap, mprotect, munmap } from './syscalls.ts';
import { VM } from './vma.ts';

/** 112 TiB in pages. */
const WIDE = 112 * 2 ** 28;
const AT = 2 ** 18;

function mmapWide(mm: MmStruct, flags: number, npage = WIDE, vpn = AT): number {
  return doMmap(mm, { vpn, npage, flags, ops: anonymousMemory, fixed: true });
}

/** A machine of 1024 pages that has two pages touched at BASE. */
function touched(): ReturnType<typeof bootFaulting> {
  const machine = bootFaulting(NO_THP);
  machine.memory.totalRamPages = 1024;
  map(machine.mm, BASE, 2, anonymousMemory);
  for (const vpn of [BASE, BASE + 1]) expect(touchPage(machine.mm, vpn, true)).toBe(0);
  return machine;
}

describe('a mapping longer than all memory (README-more, edge05)', () => {
  test('is ENOMEM where it may be written to, and replaces nothing', () => {
    const machine = touched();
    const before = stateOf(machine);
    expect(mmapWide(machine.mm, RW)).toBe(-Errno.ENOMEM);
    expect(stateOf(machine)).toEqual(before);
  });

  test.each([
    ['MAP_NORESERVE', RW | VM.NORESERVE],
    ['PROT_READ', VM.READ],
    ['MAP_SHARED', RW | VM.SHARED],
  ])('is allowed with %s', (_what, flags) => {
    const { mm } = touched();
    expect(mmapWide(mm, flags)).toBe(0);
    expect(touchPage(mm, AT + WIDE - 1, false)).toBe(0);
    expect(munmap(mm, AT, WIDE)).toBe(0);
    expect(mm.vmas.overlapping(AT, AT + WIDE)).toEqual([]);
  });

  test('counts its own length only, whatever is mapped', () => {
    const { mm } = touched();
    expect(mmapWide(mm, RW, 1024, AT)).toBe(0);
    expect(mmapWide(mm, RW, 1024, 2 * AT)).toBe(0);
    expect(mmapWide(mm, RW, 1025, 3 * AT)).toBe(-Errno.ENOMEM);
  });

  test('cannot be made writable later', () => {
    const { mm } = touched();
    expect(mmapWide(mm, VM.READ)).toBe(0);
    expect(mprotect(mm, AT, 1024, RW)).toBe(0);
    expect(mprotect(mm, AT + 1024, 1025, RW)).toBe(-Errno.ENOMEM);
    expect(mm.vmas.lookup(AT + 1024)?.flags).toBe(VM.READ | VM.MAYWRITE);
  });
});

describe('the end of the address space (recording edge04)', () => {
  test.each([
    ['nothing', BASE, 0],
    ['one that ends at 47 bits', TASK_SIZE_PAGES - 1, 2],
    ['one above', TASK_SIZE_PAGES + 1, 1],
    ['one that wraps', BASE, 2 ** 52],
  ])('munmap of %s is EINVAL', (_what, vpn, npage) => {
    const machine = touched();
    const before = stateOf(machine);
    expect(munmap(machine.mm, vpn, npage)).toBe(-Errno.EINVAL);
    expect(stateOf(machine)).toEqual(before);
  });

  test('munmap of everything takes what is mapped, and its tables', () => {
    const { mm } = touched();
    const tables = mm.pageTable.ptes.live;
    expect(munmap(mm, 1, TASK_SIZE_PAGES - 1)).toBe(0);
    expect([...mm.vmas]).toEqual([]);
    expect(mm.pageTable.ptes.live).toBe(tables - 1);
  });

  test('mmap is refused before what is mapped there goes', () => {
    const machine = touched();
    const before = stateOf(machine);
    const file = new MappedFile('shmem', 1);
    for (const npage of [2 ** 50 + 1, TASK_SIZE_PAGES - BASE + 1]) {
      const call = { vpn: BASE, npage, flags: RW | VM.SHARED, ops: file, fixed: true };
      expect(doMmap(machine.mm, call)).toBe(-Errno.ENOMEM);
    }
    expect(stateOf(machine)).toEqual(before);
  });

  test('MAP_FIXED into a hugetlb page is EINVAL', () => {
    const { mm } = bootFaulting({ hugePages: 1 });
    map(mm, BASE, 512, new HugetlbMemory(9), RW | VM.HUGETLB);
    const call = { vpn: BASE + 1, npage: 1, flags: RW, ops: anonymousMemory, fixed: true };
    expect(doMmap(mm, call)).toBe(-Errno.EINVAL);
  });
});
