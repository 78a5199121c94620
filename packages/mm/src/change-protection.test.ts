// Memory that is made read-only and writable again.
import type { CounterValues } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  map,
  NO_THP,
  pin,
  PIN_READ,
  RW,
  type FaultBoot,
} from '../test/faulting.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage, type VmOperations } from './fault.ts';
import { dupMmap } from './fork.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { mprotect } from './syscalls.ts';
import { VM } from './vma.ts';

/** A page that was touched before its memory was made read-only and writable again. */
interface Case {
  readonly what: string;
  readonly ops: VmOperations;
  readonly flags: number;
  readonly written: boolean;
  readonly boot?: FaultBoot;
  /** Bits of its entry after that. */
  readonly bits: string;
  /** What a write costs then. */
  readonly cost: Partial<CounterValues>;
}

const SHARED = RW | VM.SHARED;
const file = (kind: 'shmem' | 'disk'): MappedFile => new MappedFile(kind, 512);

const CASES: readonly Case[] = [
  {
    ...{ what: 'a page', ops: anonymousMemory, flags: RW, written: true, boot: NO_THP },
    ...{ bits: 'write anonExclusive', cost: {} },
  },
  {
    ...{ what: 'a THP', ops: anonymousMemory, flags: RW, written: true },
    ...{ bits: 'write anonExclusive', cost: {} },
  },
  {
    ...{ what: 'the zero page', ops: anonymousMemory, flags: RW, written: false, boot: NO_THP },
    ...{ bits: 'special', cost: { pageFaults: 1, pagesZeroed: 1 } },
  },
  {
    ...{ what: 'the file’s page, private', ops: file('shmem'), flags: RW, written: false },
    ...{ bits: '', cost: { pageFaults: 1, pagesCopied: 1 } },
  },
  {
    ...{ what: 'a copy of the file’s page', ops: file('shmem'), flags: RW, written: true },
    ...{ bits: 'write anonExclusive', cost: {} },
  },
  {
    ...{ what: 'a private hugetlb page', ops: new HugetlbMemory(9), flags: RW | VM.HUGETLB },
    ...{ written: true, boot: { hugePages: 1 }, bits: 'anonExclusive', cost: { pageFaults: 1 } },
  },
  {
    ...{ what: 'a page of a memfd', ops: file('shmem'), flags: SHARED, written: false },
    ...{ bits: 'write', cost: {} },
  },
  {
    ...{ what: 'a page of a disk file that was only read', ops: file('disk'), flags: SHARED },
    ...{ written: false, bits: '', cost: { pageFaults: 1 } },
  },
  {
    ...{ what: 'a page of a disk file that was written', ops: file('disk'), flags: SHARED },
    ...{ written: true, bits: 'write', cost: {} },
  },
  {
    ...{ what: 'device memory', ops: new PciBar(2 ** 26, 512), written: true },
    ...{ flags: SHARED | VM.PFNMAP | VM.IO, bits: 'write special', cost: {} },
  },
];

describe('mprotect gives write access back at once where no fault has to see the write', () => {
  test.each(CASES)('$what: "$bits"', ({ ops, flags, written, boot, bits, cost }) => {
    const { mm, memory } = bootFaulting(boot);
    map(mm, BASE, 512, ops, flags);
    touchPage(mm, BASE, written);
    mprotect(mm, BASE, 512, VM.READ);
    expect(entryAt(mm, BASE)?.bits).not.toContain('write');
    mprotect(mm, BASE, 512, RW);
    expect(entryAt(mm, BASE)?.bits).toBe(bits);
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual(cost);
  });

  test('memory that was mapped read-only, too', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    map(mm, BASE, 1, anonymousMemory, VM.READ);
    pin(mm, BASE, 1, PIN_READ);
    mprotect(mm, BASE, 1, RW);
    expect(entryAt(mm, BASE)?.bits).toBe('write anonExclusive');
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual({});
  });

  test('not to a page that a child has too', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    map(mm, BASE, 1, anonymousMemory);
    touchPage(mm, BASE, true);
    dupMmap(mm, new MmStruct(memory));
    mprotect(mm, BASE, 1, VM.READ);
    mprotect(mm, BASE, 1, RW);
    expect(entryAt(mm, BASE)?.bits).toBe('');
    expect(counting(memory, () => touchPage(mm, BASE, true)).pagesCopied).toBe(1);
  });

  test('not where nothing changes', () => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 2, anonymousMemory);
    pin(mm, BASE, 2, PIN_READ);
    mprotect(mm, BASE + 1, 1, VM.READ);
    mprotect(mm, BASE, 2, RW);
    expect([0, 1].map((i) => entryAt(mm, BASE + i)?.bits)).toEqual([
      'anonExclusive',
      'write anonExclusive',
    ]);
  });
});
