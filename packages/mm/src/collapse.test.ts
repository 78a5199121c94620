import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  map,
  NO_THP,
  pin,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import { adviseCollapse } from './collapse.ts';
import { touchPage } from './fault.ts';
import { MappedFile } from './page-cache.ts';
import { mprotect } from './syscalls.ts';
import { VM } from './vma.ts';

/** Anonymous memory at BASE, some of its pages written. */
function anon(npage: number, writes: readonly number[], options: FaultBoot = NO_THP): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory);
  for (const i of writes) touchPage(machine.mm, BASE + i, true);
  return machine;
}

describe('MADV_COLLAPSE', () => {
  test('makes a THP of the small pages of an aligned block, absent ones and zero pages too', () => {
    const { mm, memory } = anon(512, [0, 5]);
    touchPage(mm, BASE + 6, false);
    expect(counting(memory, () => adviseCollapse(mm, BASE, 512))).toEqual({
      pagesCopied: 2,
      pagesZeroed: 510,
    });
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
    expect(mm.pageTable.ptes.live).toBe(0);
  });

  test('leaves a THP as it is', () => {
    const { mm, memory } = anon(512, [0], {});
    expect(counting(memory, () => adviseCollapse(mm, BASE, 512))).toEqual({});
    expect(adviseCollapse(mm, BASE, 512)).toBe(0);
  });

  test('takes only the blocks that lie in the range whole', () => {
    const { mm } = anon(2048, [0, 512, 1024, 1536]);
    expect(adviseCollapse(mm, BASE + 1, 1600)).toBe(0);
    expect([0, 512, 1024, 1536].map((i) => entryAt(mm, BASE + i)?.level)).toEqual([0, 1, 1, 0]);
  });

  test.each<[string, FaultBoot]>([
    ['mTHP', { thp: { orders: { 4: 'always' } } }],
    ['a THP in 4 KiB entries', {}],
  ])('takes the pages of large folios: %s', (_, options) => {
    const { mm, memory } = anon(512, [0, 100], options);
    mprotect(mm, BASE + 7, 1, VM.READ);
    mprotect(mm, BASE + 7, 1, RW);
    expect(entryAt(mm, BASE)?.level).toBe(0);
    expect(adviseCollapse(mm, BASE, 512)).toBe(0);
    expect(entryAt(mm, BASE)?.level).toBe(1);
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
  });

  test('makes a read-only THP of read-only memory', () => {
    const { mm } = anon(512, [0], { ...NO_THP, rules: { collapseNeedsWritable: false } });
    mprotect(mm, BASE, 512, VM.READ);
    expect(adviseCollapse(mm, BASE, 512)).toBe(0);
    expect(entryAt(mm, BASE)).toMatchObject({ level: 1, bits: 'anonExclusive' });
  });

  test.each<[string, number, (machine: Faulting) => void]>([
    ['EAGAIN for a pinned page', -Errno.EAGAIN, ({ mm }) => pin(mm, BASE + 5, 1)],
    ['ENOMEM without a free THP', -Errno.ENOMEM, ({ frames }) => void (frames.maxOrder = 8)],
  ])('is %s, and nothing changes', (_, ret, prepare) => {
    const machine = anon(512, [0, 5]);
    prepare(machine);
    const before = stateOf(machine);
    expect(adviseCollapse(machine.mm, BASE, 512)).toBe(ret);
    expect(stateOf(machine)).toEqual(before);
  });

  test('is EINVAL up to 6.16 without a writable entry in the block', () => {
    const { mm } = anon(512, [0]);
    mprotect(mm, BASE, 512, VM.READ);
    expect(adviseCollapse(mm, BASE, 512)).toBe(-Errno.EINVAL);
  });

  test('is EINVAL for a block of zero pages only', () => {
    const { mm } = anon(512, []);
    touchPage(mm, BASE, false);
    expect(adviseCollapse(mm, BASE, 512)).toBe(-Errno.EINVAL);
  });

  test('makes a huge page of a memfd, whoever maps it; a copy stays', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    const file = new MappedFile('shmem', 512);
    map(mm, BASE, 512, file, RW | VM.SHARED);
    map(mm, BASE + 512, 512, file, RW);
    touchPage(mm, BASE, true);
    touchPage(mm, BASE + 512, false);
    touchPage(mm, BASE + 513, true);
    expect(adviseCollapse(mm, BASE, 512)).toBe(0);
    expect(entryAt(mm, BASE)).toMatchObject({ pfn: HUGE_PFN, level: 1 });
    expect(entryAt(mm, BASE + 512)).toBeNull();
    expect(adviseCollapse(mm, BASE + 512, 512)).toBe(-Errno.EINVAL);
    expect(foliosOf(memory)).toContainEqual([9, 2, 0]);
  });

  test('is EAGAIN for a pinned page of a memfd, and EINVAL for an empty one', () => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 512, new MappedFile('shmem', 512), RW | VM.SHARED);
    expect(adviseCollapse(mm, BASE, 512)).toBe(-Errno.EINVAL);
    pin(mm, BASE, 1);
    expect(adviseCollapse(mm, BASE, 512)).toBe(-Errno.EAGAIN);
  });

  test('is EINVAL for untouched memory, files on a disk, and what refused huge pages', () => {
    const { mm } = anon(512, []);
    map(mm, BASE + 512, 512, new MappedFile('disk', 512), RW | VM.SHARED);
    map(mm, BASE + 1024, 512, anonymousMemory, RW | VM.NOHUGEPAGE);
    for (const i of [512, 1024]) touchPage(mm, BASE + i, true);
    const errors = [0, 512, 1024].map((i) => adviseCollapse(mm, BASE + i, 512));
    expect(errors).toEqual(Array(3).fill(-Errno.EINVAL));
  });

  test('is EINVAL for an area that holds no aligned block', () => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE + 1, 1022, anonymousMemory);
    expect(adviseCollapse(mm, BASE + 1, 1022)).toBe(-Errno.EINVAL);
  });

  test.each([
    ['a file on a disk', new MappedFile('disk', 2048), 0],
    ['a memfd that is mapped from an odd page on', new MappedFile('shmem', 2048), 1],
  ])('is EINVAL for %s even where the range holds no block', (_, file, pgoff) => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 1024, file, RW | VM.SHARED, pgoff);
    expect(adviseCollapse(mm, BASE, 1)).toBe(-Errno.EINVAL);
  });

  test.each([
    ['a file on a disk', new MappedFile('disk', 2048), 0],
    ['a memfd that is mapped from an odd page on', new MappedFile('shmem', 2048), 1],
  ])('is EINVAL for %s even where the range holds no block', (_, file, pgoff) => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 1024, file, RW | VM.SHARED, pgoff);
    expect(adviseCollapse(mm, BASE, 1)).toBe(-Errno.EINVAL);
  });

  test('goes over several areas, and a hole is ENOMEM in the end', () => {
    const { mm } = anon(512, [0]);
    map(mm, BASE + 512, 512, anonymousMemory, RW | VM.HUGEPAGE);
    map(mm, BASE + 1536, 512, anonymousMemory);
    for (const i of [512, 1536]) touchPage(mm, BASE + i, true);
    expect(adviseCollapse(mm, BASE, 1024)).toBe(0);
    expect(adviseCollapse(mm, BASE, 2048)).toBe(-Errno.ENOMEM);
    expect([0, 512, 1536].map((i) => entryAt(mm, BASE + i)?.level)).toEqual([1, 1, 1]);
  });

  test('is ENOMEM where nothing is mapped', () => {
    const { mm } = anon(512, [0]);
    expect(adviseCollapse(mm, BASE + 512, 512)).toBe(-Errno.ENOMEM);
  });
});
