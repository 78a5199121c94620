import { Errno, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot, mapRun, SECTION } from '../test/machine.ts';
import { mmapPfnmap } from './mmap.ts';
import { MmStruct } from './mm-struct.ts';
import { followPfnmap } from './pfnmap.ts';
import { VM, Vma } from './vma.ts';

const GIB = 2 ** 18;
const BAR = 2 ** 26;

/** A BAR of 1 GiB + 2 MiB + 4 KiB, and one page of memory at 0. */
function barSpace(): MmStruct {
  const mm = new MmStruct(boot());
  mapRun(mm, { vpn: 0, pfn: SECTION, npage: 1 });
  mmapPfnmap(mm, { vpn: GIB, npage: GIB + 513, pfn: BAR });
  mmapPfnmap(mm, { vpn: 4 * GIB, npage: 1, pfn: BAR, prot: { read: true, write: false } });
  return mm;
}

function follow(mm: MmStruct, vpn: number): ReturnType<typeof followPfnmap> {
  return followPfnmap(mm, mm.vmas.lookup(vpn) as Vma, vpn);
}

test.each([
  // page, pages of its leaf
  [0, GIB],
  [5, GIB],
  [GIB - 1, GIB],
  [GIB, 512],
  [GIB + 511, 512],
  [GIB + 512, 1],
])('page %i of a BAR lies in a leaf of %i pages', (page, leafPages) => {
  expect(follow(barSpace(), GIB + page)).toEqual({ pfn: BAR + page, leafPages, writable: true });
});

test('a read-only entry is not writable', () => {
  expect(follow(barSpace(), 4 * GIB)).toEqual({ pfn: BAR, leafPages: 1, writable: false });
});

describe('EINVAL', () => {
  test('for a VMA of ordinary memory', () => {
    expect(follow(barSpace(), 0)).toBe(-Errno.EINVAL);
  });

  test('for a page that the driver has not mapped', () => {
    const mm = new MmStruct(boot());
    const vma = new Vma(0, 2 ** 40, VM.PFNMAP | VM.READ);
    for (const vpn of [5, X86_64.virtualPages - 1, X86_64.virtualPages, 2 ** 40 - 1]) {
      expect(followPfnmap(mm, vma, vpn)).toBe(-Errno.EINVAL);
    }
  });
});

test('every walk is counted, and no page is pinned', () => {
  const mm = barSpace();
  follow(mm, GIB);
  follow(mm, 0);
  expect(mm.memory.counters.snapshot()).toMatchObject({ pfnmapFollows: 2, folioGrabs: 0 });
  expect(mm.memory.vmstat.pinsHeld).toBe(0);
});
