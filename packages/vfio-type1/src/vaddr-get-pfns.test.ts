import { PciBar, PTE, VM, VM_FAULT, Vma } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { BAR, Guest, minus, PFN, SECTION, VPN, type GuestOptions } from '../test/guest.ts';
import { VfioBatch } from './batch.ts';
import { VfioDma } from './dma.ts';
import { vaddrGetPfns } from './vaddr-get-pfns.ts';

/** Refills an empty batch of a guest; `vpn` is the first page wanted. */
function refill(
  guest: Guest,
  vpn: number,
  npage: number,
  { prot = 3, capacity = 512 } = {},
): { ret: number; batch: VfioBatch } {
  const batch = new VfioBatch(guest.memory.memmap.pageArray(capacity));
  const dma = new VfioDma(0, vpn, prot, guest.task);
  return { ret: vaddrGetPfns(guest.iommu, dma, vpn, npage, batch), batch };
}

describe('memory', () => {
  test('fills the batch, up to its capacity', () => {
    const { ret, batch } = refill(new Guest().mmap({ npage: 2000 }), VPN, 2000);
    expect([ret, batch.size, batch.offset, batch.pfn]).toEqual([512, 512, 0, PFN]);
  });

  test('fills what is wanted, if that is less', () => {
    expect(refill(new Guest().mmap({ npage: 2000 }), VPN + 5, 7)).toMatchObject({
      ret: 7,
      batch: { size: 7, pfn: PFN + 5 },
    });
  });

  test('page by page, with a capacity of one', () => {
    expect(refill(new Guest().mmap({ npage: 10 }), VPN, 10, { capacity: 1 }).ret).toBe(1);
  });

  test('ends where memory ends; the next call says why', () => {
    const guest = new Guest().mmap({ npage: 10 });
    expect(refill(guest, VPN, 512).ret).toBe(10);
    expect(refill(guest, VPN + 10, 502).ret).toBe(minus('EFAULT'));
    expect(guest.mm.gupFailure).toEqual({ vpn: VPN + 10, why: 'no VMA covers it' });
  });

  test('that is movable is ENOMEM', () => {
    expect(refill(new Guest().mmap({ pfn: 9 * SECTION, npage: 3 }), VPN, 3).ret).toBe(
      minus('ENOMEM'),
    );
  });

  test('that is read-only can be pinned to read', () => {
    const guest = new Guest().mmap({ npage: 3, prot: { read: true, write: false } });
    const rets = [1, 2, 3].map((prot) => refill(guest, VPN, 3, { prot }).ret);
    expect(rets).toEqual([3, minus('EFAULT'), minus('EFAULT')]);
  });
});

describe('device memory leaves the batch empty; the result is the rest of the leaf', () => {
  const GIB = 2 ** 18;

  test.each([
    // largest leaf, page, pages wanted, result
    ['1 GiB leaf', 18, 0, 2 * GIB, GIB],
    ['its middle', 18, 5, 2 * GIB, GIB - 5],
    ['fewer than it has', 18, 5, 100, 100],
    ['a 2 MiB leaf behind it', 18, GIB + 511, 600, 1],
    ['2 MiB leaves', 9, 513, 2000, 511],
    ['4 KiB leaves', 0, 512, 2000, 1],
    ['one page', 18, 3, 1, 1],
  ])('%s', (_, maxLeafOrder, page, npage, expected) => {
    const guest = new Guest().mmapBar({ vpn: GIB, npage: GIB + 1024, maxLeafOrder });
    const { ret, batch } = refill(guest, GIB + page, npage);
    expect([ret, batch.size, batch.pfn]).toEqual([expected, 0, BAR + page]);
    expect(guest.memory.vmstat.pinsHeld).toBe(0);
  });

  test('costs a GUP call that fails, a walk and a reserved test', () => {
    const guest = new Guest().mmapBar({ npage: 600 });
    const counts = guest.counted(() => refill(guest, VPN, 600));
    expect(counts).toMatchObject({ gupCalls: 1, pfnmapFollows: 1, reservedTests: 1, pageFills: 0 });
  });

  test('that is read-only: EFAULT to write', () => {
    const guest = new Guest().mmapBar({ npage: 512, prot: { read: true, write: false } });
    expect([1, 2, 3].map((prot) => refill(guest, VPN, 10, { prot }).ret)).toEqual([
      10,
      minus('EFAULT'),
      minus('EFAULT'),
    ]);
  });

  test('whose frames are ordinary memory: EFAULT', () => {
    const guest = new Guest().mmapBar({ npage: 10, pfn: 5 * SECTION });
    expect(refill(guest, VPN, 10).ret).toBe(minus('EFAULT'));
    expect(guest.mm.gupFailure).toMatchObject({ why: 'the pfn mapping leads to ordinary memory' });
  });

  test('whose frames are reserved pages of ordinary memory is fine', () => {
    const options: GuestOptions = { ranges: [{ pfn: SECTION + 100, npage: SECTION }] };
    const guest = new Guest(options).mmapBar({ npage: 10, pfn: SECTION + 50 });
    expect(refill(guest, VPN, 10)).toMatchObject({ ret: 1, batch: { size: 0, pfn: SECTION + 50 } });
  });
});

describe('device memory that its driver maps when it is asked', () => {
  /** 2 MiB at a 2 MiB boundary, absent; the driver answers with a code, and maps if it is 0. */
  function lazy(code: number, { writable = true, maps = true } = {}): Guest {
    const guest = new Guest();
    const ops = Object.assign(new PciBar(BAR, 512), {
      fault: () => {
        const bits = PTE.present | PTE.special | (writable ? PTE.write : 0);
        if (code === 0 && maps) guest.mm.pageTable.setLeaves(VPN, BAR, 1, 1, bits);
        return code;
      },
    });
    const flags = VM.READ | (writable ? VM.WRITE : 0) | VM.PFNMAP | VM.IO;
    guest.mm.vmas.insert(new Vma(VPN, VPN + 512, flags, ops));
    return guest;
  }

  /** Result, walks, fixup_user_fault calls, faults that reached the driver. */
  function tried(guest: Guest, prot = 3): number[] {
    let ret = 0;
    const counts = guest.counted(() => {
      ({ ret } = refill(guest, VPN + 5, 1000, { prot }));
    });
    return [ret, counts.pfnmapFollows, counts.fixupFaults, counts.chunkStartTests];
  }

  test('is followed, faulted and followed again; and then only followed', () => {
    const guest = lazy(0);
    expect(tried(guest)).toEqual([507, 2, 1, 1]);
    expect(tried(guest)).toEqual([507, 1, 0, 1]);
  });

  test.each([
    ['SIGBUS: EFAULT', VM_FAULT.SIGBUS, minus('EFAULT')],
    ['OOM: ENOMEM', VM_FAULT.OOM, minus('ENOMEM')],
  ])('the driver answers %s', (_, code, expected) => {
    expect(tried(lazy(code))).toEqual([expected, 1, 1, 0]);
  });

  test('a write to a read-only mapping is refused before the driver is asked', () => {
    const guest = lazy(0, { writable: false });
    expect(tried(guest, 3)).toEqual([minus('EFAULT'), 1, 1, 0]);
    expect(guest.mm.pageTable.pfnAt(VPN)).toBe(-1);
    expect(tried(guest, 1)).toEqual([507, 2, 1, 1]);
    // Present now: the walk itself finds it read-only.
    expect(tried(guest, 3)).toEqual([minus('EFAULT'), 1, 0, 0]);
  });

  test('a driver that maps nothing and says it did: the error of the walk', () => {
    expect(tried(lazy(0, { maps: false }))).toEqual([minus('EINVAL'), 2, 1, 0]);
  });
});
