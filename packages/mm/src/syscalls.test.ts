import { Errno, InputError, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  framesAt,
  map,
  NO_THP,
  pin,
  PIN_WRITE,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage, VM_FAULT } from './fault.ts';
import { PrescribedLayout } from './frame-source.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { Task, type MmStruct } from './mm-struct.ts';
import { mmapMemory } from './mmap.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import {
  adviseDontneed,
  adviseFree,
  adviseHugepage,
  advisePopulate,
  adviseRemove,
  doMmap,
  mlock,
  mmPopulate,
  mprotect,
  munmap,
} from './syscalls.ts';
import { VM } from './vma.ts';

const DEVICE = RW | VM.SHARED | VM.PFNMAP | VM.IO;
const huge2m = new HugetlbMemory(9);

function anon(npage: number, options: FaultBoot = {}): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory);
  return machine;
}

/** Two areas of two pages with a hole of two between them. */
function withHole(options: FaultBoot = NO_THP): Faulting {
  const machine = bootFaulting(options);
  for (const vpn of [BASE, BASE + 4]) map(machine.mm, vpn, 2, anonymousMemory);
  return machine;
}

/** Two hugetlb pages at BASE, both touched. */
function hugetlb(): Faulting {
  const machine = bootFaulting({ hugePages: 2 });
  map(machine.mm, BASE, 1024, huge2m, RW | VM.HUGETLB);
  for (const vpn of [BASE, BASE + 512]) touchPage(machine.mm, vpn, true);
  return machine;
}

/** Areas as [first page from BASE, pages, one word per flag]. */
function areas(mm: MmStruct): [number, number, string][] {
  const names = ['READ', 'WRITE', 'SHARED', 'LOCKED', 'HUGEPAGE', 'NOHUGEPAGE'] as const;
  return [...mm.vmas].map(({ start, end, flags }) => [
    start - BASE,
    end - start,
    names.filter((name) => flags & VM[name]).join(' '),
  ]);
}

describe('mmap', () => {
  test('maps without populating', () => {
    const { mm, memory } = anon(512);
    expect(areas(mm)).toEqual([[0, 512, 'READ WRITE']]);
    expect(framesAt(mm, BASE, 512)).toEqual(Array(512).fill(-1));
    expect(memory.counters.snapshot().pageFaults).toBe(0);
  });

  test.each([
    ['over the start of an area', BASE - 1, 2],
    ['over its end', BASE + 3, 2],
    ['inside', BASE + 1, 1],
    ['around', BASE - 5, 20],
  ])('is EEXIST %s, and nothing changes', (_, vpn, npage) => {
    const machine = anon(4);
    const before = stateOf(machine);
    expect(doMmap(machine.mm, { vpn, npage, flags: RW, ops: anonymousMemory })).toBe(-Errno.EEXIST);
    expect(stateOf(machine)).toEqual(before);
  });

  test('ends one page below 47 address bits', () => {
    const { mm } = bootFaulting();
    const top = X86_64.virtualPages / 2 - 1;
    const call = { vpn: top - 1, flags: RW, ops: anonymousMemory };
    expect(doMmap(mm, { ...call, npage: 2 })).toBe(-Errno.ENOMEM);
    expect(doMmap(mm, { ...call, npage: 1 })).toBe(0);
    expect(touchPage(mm, top - 1, true)).toBe(0);
  });

  test('of nothing is a wrong input', () => {
    const { mm } = bootFaulting();
    const call = { vpn: BASE, npage: 0, flags: RW, ops: anonymousMemory };
    expect(() => doMmap(mm, call)).toThrow(InputError);
  });

  test('joins memory that continues an area', () => {
    const { mm } = anon(4);
    const file = new MappedFile('shmem', 100);
    map(mm, BASE + 4, 4, anonymousMemory);
    map(mm, BASE + 8, 4, file, RW, 10);
    map(mm, BASE + 12, 4, file, RW, 14);
    map(mm, BASE + 16, 4, file, RW, 19);
    map(mm, BASE + 20, 4, anonymousMemory, VM.READ);
    expect(areas(mm).map(([start, npage]) => [start, npage])).toEqual([
      [0, 8],
      [8, 8],
      [16, 4],
      [20, 4],
    ]);
  });
});

describe('munmap', () => {
  test('takes pages, areas and page tables away', () => {
    const { mm, memory } = anon(4, NO_THP);
    for (let i = 0; i < 4; i++) touchPage(mm, BASE + i, true);
    expect(munmap(mm, BASE + 1, 2)).toBe(0);
    expect(areas(mm).map(([start, npage]) => [start, npage])).toEqual([
      [0, 1],
      [3, 1],
    ]);
    expect(foliosOf(memory)).toHaveLength(2);
    expect(touchPage(mm, BASE + 1, false)).toBe(VM_FAULT.SIGSEGV);
    expect(munmap(mm, BASE, 4)).toBe(0);
    expect(mm.pageTable.ptes.live).toBe(0);
  });

  test('skips what is not mapped', () => {
    const { mm } = withHole();
    expect(munmap(mm, BASE + 1, 4)).toBe(0);
    expect(areas(mm).map(([start, npage]) => [start, npage])).toEqual([
      [0, 1],
      [5, 1],
    ]);
    expect(munmap(mm, BASE + 2, 2)).toBe(0);
  });

  test.each([
    ['at its start', 1, 1023],
    ['at its end', 0, 513],
    ['inside', 100, 1],
  ])('is EINVAL where it cuts a hugetlb page %s, and nothing changes', (_, from, npage) => {
    const machine = hugetlb();
    const before = stateOf(machine);
    expect(munmap(machine.mm, BASE + from, npage)).toBe(-Errno.EINVAL);
    expect(stateOf(machine)).toEqual(before);
  });

  test('is EINVAL where it cuts one that was populated when it was mapped', () => {
    const { mm } = bootFaulting();
    const frames = new PrescribedLayout([{ vpn: BASE, pfn: HUGE_PFN, npage: 1024, order: 9 }]);
    mmapMemory(mm, { vpn: BASE, npage: 1024, kind: 'hugetlb', order: 9, frames });
    for (const [from, npage] of [
      [100, 924],
      [0, 513],
    ]) {
      expect(munmap(mm, BASE + from, npage)).toBe(-Errno.EINVAL);
    }
    expect(adviseDontneed(mm, BASE + 5, 600)).toBe(-Errno.EINVAL);
    expect(munmap(mm, BASE + 512, 512)).toBe(0);
    expect(areas(mm).map(([start, npage]) => [start, npage])).toEqual([[0, 512]]);
    expect(munmap(mm, BASE, 511)).toBe(-Errno.EINVAL);
  });

  test('takes whole hugetlb pages', () => {
    const { mm, memory } = hugetlb();
    expect(munmap(mm, BASE, 512)).toBe(0);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(1);
    expect(entryAt(mm, BASE + 512)?.level).toBe(1);
  });

  test('takes back the charge of locked memory, and no other', () => {
    const { mm } = withHole();
    const task = new Task(mm);
    mlock(task, BASE + 1, 1, true);
    mlock(task, BASE + 4, 2, true);
    munmap(mm, BASE, 5);
    expect(mm.lockedVm).toBe(1);
    munmap(mm, BASE, 6);
    expect(mm.lockedVm).toBe(0);
  });
});

describe('mprotect', () => {
  test('to read-only keeps the pages, and writes fault from then on', () => {
    const { mm } = anon(3, NO_THP);
    for (let i = 0; i < 3; i++) touchPage(mm, BASE + i, true);
    expect(mprotect(mm, BASE + 1, 1, VM.READ)).toBe(0);
    expect(areas(mm)).toEqual([
      [0, 1, 'READ WRITE'],
      [1, 1, 'READ'],
      [2, 1, 'READ WRITE'],
    ]);
    expect([0, 1, 2].map((i) => entryAt(mm, BASE + i)?.bits)).toEqual([
      'write anonExclusive',
      'anonExclusive',
      'write anonExclusive',
    ]);
    expect(touchPage(mm, BASE + 1, true)).toBe(VM_FAULT.SIGSEGV);
    expect(touchPage(mm, BASE + 1, false)).toBe(0);
  });

  test('back to writable joins the areas again and copies nothing', () => {
    const { mm, memory } = anon(3, NO_THP);
    touchPage(mm, BASE + 1, true);
    mprotect(mm, BASE + 1, 1, VM.READ);
    mprotect(mm, BASE + 1, 1, RW);
    expect(areas(mm)).toEqual([[0, 3, 'READ WRITE']]);
    expect(entryAt(mm, BASE + 1)).toMatchObject({ pfn: SMALL_PFN, bits: 'write anonExclusive' });
    expect(counting(memory, () => touchPage(mm, BASE + 1, true))).toEqual({});
  });

  test.each([
    ['to read-only', RW, VM.READ],
    ['to writable', VM.READ, RW],
  ])('%s splits a THP at its borders only', (_, before, after) => {
    const { mm, memory } = anon(1536);
    for (const i of [0, 512, 1024]) touchPage(mm, BASE + i, true);
    mprotect(mm, BASE, 1536, before);
    mprotect(mm, BASE + 256, 1024, after);
    expect([0, 512, 1024].map((i) => entryAt(mm, BASE + i)?.level)).toEqual([0, 1, 0]);
    expect(foliosOf(memory)).toEqual([
      [9, 512, 0],
      [9, 1, 0],
      [9, 512, 0],
    ]);
  });

  test('a pin to write ends where the VMA does, inside what was one THP', () => {
    const { mm } = anon(512);
    touchPage(mm, BASE, true);
    mprotect(mm, BASE, 512, VM.READ);
    mprotect(mm, BASE, 256, RW);
    touchPage(mm, BASE, true);
    expect(pin(mm, BASE, 512, PIN_WRITE).ret).toBe(256);
    expect(entryAt(mm, BASE + 256)?.bits).toBe('anonExclusive');
  });

  test('is ENOMEM at a hole, with what lies before it done', () => {
    const { mm } = withHole();
    expect(mprotect(mm, BASE + 1, 4, VM.READ)).toBe(-Errno.ENOMEM);
    expect(areas(mm)).toEqual([
      [0, 1, 'READ WRITE'],
      [1, 1, 'READ'],
      [4, 2, 'READ WRITE'],
    ]);
    expect(mprotect(mm, BASE + 2, 4, VM.READ)).toBe(-Errno.ENOMEM);
    expect(areas(mm)[2]).toEqual([4, 2, 'READ WRITE']);
  });

  test('is EINVAL where it cuts a hugetlb page', () => {
    const machine = hugetlb();
    const before = stateOf(machine);
    expect(mprotect(machine.mm, BASE, 100, VM.READ)).toBe(-Errno.EINVAL);
    expect(stateOf(machine)).toEqual(before);
    expect(mprotect(machine.mm, BASE, 512, VM.READ)).toBe(0);
    expect(entryAt(machine.mm, BASE)).toMatchObject({ level: 1, bits: 'anonExclusive' });
  });
});

describe('MADV_HUGEPAGE and MADV_NOHUGEPAGE', () => {
  test('decide who gets THPs, and the last word counts', () => {
    const { mm, memory } = anon(1536, { thp: { enabled: 'madvise' } });
    expect(adviseHugepage(mm, BASE, 1024, VM.HUGEPAGE)).toBe(0);
    expect(adviseHugepage(mm, BASE + 512, 512, VM.NOHUGEPAGE)).toBe(0);
    expect(areas(mm)).toEqual([
      [0, 512, 'READ WRITE HUGEPAGE'],
      [512, 512, 'READ WRITE NOHUGEPAGE'],
      [1024, 512, 'READ WRITE'],
    ]);
    for (const i of [0, 512, 1024]) touchPage(mm, BASE + i, true);
    expect(foliosOf(memory).map(([order]) => order)).toEqual([0, 0, 9]);
    adviseHugepage(mm, BASE + 512, 512, VM.HUGEPAGE);
    expect(areas(mm)[0]).toEqual([0, 1024, 'READ WRITE HUGEPAGE']);
  });

  test('of a part of a THP split its leaf', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, true);
    adviseHugepage(mm, BASE + 100, 10, VM.NOHUGEPAGE);
    expect(entryAt(mm, BASE)?.level).toBe(0);
    expect(foliosOf(memory)).toEqual([[9, 512, 0]]);
  });

  test('are ENOMEM over a hole, with everything else advised', () => {
    const { mm } = withHole();
    expect(adviseHugepage(mm, BASE, 6, VM.HUGEPAGE)).toBe(-Errno.ENOMEM);
    expect(areas(mm)).toEqual([
      [0, 2, 'READ WRITE HUGEPAGE'],
      [4, 2, 'READ WRITE HUGEPAGE'],
    ]);
  });

  test('are EINVAL where they cut a hugetlb page', () => {
    const machine = hugetlb();
    const before = stateOf(machine);
    expect(adviseHugepage(machine.mm, BASE + 1, 3, VM.HUGEPAGE)).toBe(-Errno.EINVAL);
    expect(stateOf(machine)).toEqual(before);
  });
});

describe('MADV_DONTNEED', () => {
  test('frees pages; the next access finds zeros', () => {
    const { mm, memory } = anon(3, NO_THP);
    for (let i = 0; i < 3; i++) touchPage(mm, BASE + i, true);
    expect(adviseDontneed(mm, BASE + 1, 1)).toBe(0);
    expect(foliosOf(memory)).toHaveLength(2);
    expect(areas(mm)).toEqual([[0, 3, 'READ WRITE']]);
    expect(counting(memory, () => touchPage(mm, BASE + 1, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 1,
    });
  });

  test('of a whole THP makes room for another', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, true);
    adviseDontneed(mm, BASE, 512);
    expect(foliosOf(memory)).toEqual([]);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)).toMatchObject({ pfn: HUGE_PFN, level: 1 });
  });

  test('is EINVAL for locked memory', () => {
    const { mm } = anon(2, NO_THP);
    mlock(new Task(mm), BASE, 2, true);
    expect(adviseDontneed(mm, BASE, 1)).toBe(-Errno.EINVAL);
    expect(entryAt(mm, BASE)).not.toBeNull();
  });

  test('is EINVAL for device memory', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 8, new PciBar(2 ** 26, 8), DEVICE);
    touchPage(mm, BASE, true);
    expect(adviseDontneed(mm, BASE, 8)).toBe(-Errno.EINVAL);
    expect(entryAt(mm, BASE)).not.toBeNull();
  });

  test('is ENOMEM over a hole, with everything else dropped', () => {
    const { mm, memory } = withHole();
    for (const i of [0, 5]) touchPage(mm, BASE + i, true);
    expect(adviseDontneed(mm, BASE, 6)).toBe(-Errno.ENOMEM);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('is EINVAL where it begins inside a hugetlb page, and gives whole ones back', () => {
    const { mm, memory } = hugetlb();
    expect(adviseDontneed(mm, BASE + 1, 511)).toBe(-Errno.EINVAL);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(0);
    expect(adviseDontneed(mm, BASE, 512)).toBe(0);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(1);
  });
});

describe('populating', () => {
  test('writes private writable memory, and reads all other', () => {
    const { mm } = anon(2, NO_THP);
    map(mm, BASE + 2, 2, anonymousMemory, VM.READ);
    map(mm, BASE + 4, 2, new MappedFile('disk', 2), RW | VM.SHARED);
    map(mm, BASE + 6, 2, new MappedFile('shmem', 2));
    expect(mmPopulate(mm, BASE, 8)).toBe(0);
    expect([0, 2, 4, 6].map((i) => entryAt(mm, BASE + i)?.bits)).toEqual([
      'write anonExclusive',
      'special',
      '',
      'write anonExclusive',
    ]);
  });

  test('faults once per leaf', () => {
    const { mm, memory } = anon(1030);
    expect(counting(memory, () => mmPopulate(mm, BASE, 1030))).toEqual({
      pageFaults: 8,
      pagesZeroed: 1030,
    });
  });

  test('leaves device memory alone', () => {
    const { mm } = bootFaulting();
    const bar = new PciBar(2 ** 26, 8);
    bar.enabled = false;
    map(mm, BASE, 8, bar, DEVICE);
    map(mm, BASE + 8, 1, anonymousMemory);
    expect(mmPopulate(mm, BASE, 9)).toBe(0);
    expect([entryAt(mm, BASE), entryAt(mm, BASE + 8)?.level]).toEqual([null, 0]);
  });

  test.each<[string, number, (machine: Faulting) => void]>([
    ['EFAULT beyond the end of a file', -Errno.EFAULT, () => undefined],
    ['ENOMEM without a frame', -Errno.ENOMEM, ({ frames }) => void (frames.left = 3)],
  ])('is %s, with the pages before it there', (_, ret, prepare) => {
    const machine = bootFaulting(NO_THP);
    const { mm } = machine;
    map(mm, BASE, 6, new MappedFile('shmem', 3), RW | VM.SHARED);
    if (ret === -Errno.ENOMEM) {
      munmap(mm, BASE, 6);
      map(mm, BASE, 6, anonymousMemory);
    }
    prepare(machine);
    expect(mmPopulate(mm, BASE, 6)).toBe(ret);
    expect(framesAt(mm, BASE, 6).map((pfn) => pfn >= 0)).toEqual([
      ...[true, true, true],
      ...[false, false, false],
    ]);
  });
});

describe('mlock and munlock', () => {
  test('charge and populate, and take the charge back', () => {
    const { mm } = anon(4, NO_THP);
    const task = new Task(mm);
    expect(mlock(task, BASE + 1, 2, true)).toBe(0);
    expect(mm.lockedVm).toBe(2);
    expect(framesAt(mm, BASE, 4).map((pfn) => pfn >= 0)).toEqual([false, true, true, false]);
    expect(areas(mm)).toEqual([
      [0, 1, 'READ WRITE'],
      [1, 2, 'READ WRITE LOCKED'],
      [3, 1, 'READ WRITE'],
    ]);
    expect(mlock(task, BASE, 4, true)).toBe(0);
    expect(mm.lockedVm).toBe(4);
    expect(areas(mm)).toEqual([[0, 4, 'READ WRITE LOCKED']]);
    expect(mlock(task, BASE, 3, false)).toBe(0);
    expect(mm.lockedVm).toBe(1);
    expect(mlock(task, BASE, 4, false)).toBe(0);
    expect(mm.lockedVm).toBe(0);
    expect(areas(mm)).toEqual([[0, 4, 'READ WRITE']]);
  });

  test.each([
    ['over the limit', 4, 5, false, -Errno.ENOMEM],
    ['at the limit', 4, 4, false, 0],
    ['over the limit with CAP_IPC_LOCK', 4, 5, true, 0],
  ])('%s: %i pages allowed, %i wanted', (_, limit, npage, capable, ret) => {
    const machine = anon(8, NO_THP);
    const before = stateOf(machine);
    const task = new Task(machine.mm, limit * 4096, capable);
    expect(mlock(task, BASE, npage, true)).toBe(ret);
    if (ret === 0) expect(machine.mm.lockedVm).toBe(npage);
    else expect(stateOf(machine)).toEqual(before);
  });

  test('do not count what is locked already against the limit', () => {
    const { mm } = anon(8, NO_THP);
    const task = new Task(mm, 4 * 4096);
    expect(mlock(task, BASE, 3, true)).toBe(0);
    expect(mlock(task, BASE, 4, true)).toBe(0);
    expect(mlock(task, BASE + 1, 4, true)).toBe(-Errno.ENOMEM);
    expect(mm.lockedVm).toBe(4);
  });

  test('stop at a hole with ENOMEM; what lies before it is done', () => {
    const { mm } = withHole();
    const task = new Task(mm);
    expect(mlock(task, BASE, 6, true)).toBe(-Errno.ENOMEM);
    expect(mm.lockedVm).toBe(2);
    expect(areas(mm).map(([, , flags]) => flags)).toEqual(['READ WRITE LOCKED', 'READ WRITE']);
    expect(mlock(task, BASE + 2, 4, true)).toBe(-Errno.ENOMEM);
    expect(mm.lockedVm).toBe(2);
    mlock(task, BASE + 4, 2, true);
    expect(mlock(task, BASE, 6, false)).toBe(-Errno.ENOMEM);
    expect(mm.lockedVm).toBe(2);
  });

  test.each<[string, (machine: Faulting) => void]>([
    ['device memory', ({ mm }) => map(mm, BASE, 512, new PciBar(2 ** 26, 512), DEVICE)],
    ['hugetlb pages', ({ mm }) => map(mm, BASE, 512, huge2m, RW | VM.HUGETLB)],
  ])('neither lock nor charge %s', (_, prepare) => {
    const machine = bootFaulting({ hugePages: 1 });
    prepare(machine);
    const { mm } = machine;
    const task = new Task(mm);
    expect(mlock(task, BASE, 512, true)).toBe(0);
    expect(mm.lockedVm).toBe(0);
    expect([...mm.vmas][0].flags & VM.LOCKED).toBe(0);
    expect(mlock(task, BASE, 512, false)).toBe(0);
    expect(mm.lockedVm).toBe(0);
  });

  test.each<[string, (machine: Faulting) => void, number]>([
    [
      'ENOMEM beyond the end of a file',
      ({ mm }) => map(mm, BASE, 2, new MappedFile('shmem', 1)),
      -Errno.ENOMEM,
    ],
    ['ENOMEM for inaccessible memory', ({ mm }) => map(mm, BASE, 2, anonymousMemory, 0), -12],
    [
      'EAGAIN without a frame',
      ({ mm, frames }) => {
        map(mm, BASE, 2, anonymousMemory);
        frames.left = 1;
      },
      -Errno.EAGAIN,
    ],
  ])('are %s, and the memory is locked all the same', (_, prepare, ret) => {
    const machine = bootFaulting(NO_THP);
    prepare(machine);
    expect(mlock(new Task(machine.mm), BASE, 2, true)).toBe(ret);
    expect(machine.mm.lockedVm).toBe(2);
  });

  test('of a part of a THP split its leaf', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, true);
    mlock(new Task(mm), BASE, 256, true);
    expect(foliosOf(memory)).toEqual([[9, 512, 0]]);
    mlock(new Task(mm), BASE, 256, false);
    expect(areas(mm)).toEqual([[0, 512, 'READ WRITE']]);
  });
});

test('MADV_POPULATE_* is ENOMEM at a hole, after the pages before it', () => {
  const { mm } = bootFaulting();
  map(mm, BASE, 2, anonymousMemory);
  expect(advisePopulate(mm, BASE, 4, true)).toBe(-Errno.ENOMEM);
  expect(mm.pageTable.pfnAt(BASE + 1)).toBeGreaterThanOrEqual(0);
  mprotect(mm, BASE, 2, VM.READ);
  expect(advisePopulate(mm, BASE, 2, true)).toBe(-Errno.EINVAL);
});

test('MADV_FREE and MADV_REMOVE of anonymous memory: pages stay', () => {
  const { mm } = bootFaulting();
  map(mm, BASE, 2, anonymousMemory);
  touchPage(mm, BASE, true);
  const before = mm.pageTable.pfnAt(BASE);
  expect(adviseFree(mm, BASE, 2)).toBe(0);
  expect(adviseRemove(mm, BASE, 2)).toBe(-Errno.EINVAL);
  expect(mm.pageTable.pfnAt(BASE)).toBe(before);
});

// Recording edge04 of family more: what lies above the addresses of a process is refused.
describe('munmap at the end of the addresses of a process', () => {
  test('is EINVAL beyond them, and leaves everything', () => {
    const machine = anon(4);
    const before = stateOf(machine);
    expect(munmap(machine.mm, BASE, X86_64.taskPages - BASE + 1)).toBe(-Errno.EINVAL);
    expect(stateOf(machine)).toEqual(before);
  });

  test('of everything up to there removes what is mapped', () => {
    const { mm } = anon(4);
    expect(munmap(mm, 0, X86_64.taskPages)).toBe(0);
    expect([...mm.vmas]).toEqual([]);
    expect(mm.pageTable.ptes.live).toBe(0);
  });
});
