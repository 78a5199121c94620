import { intelVtd } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { bitmapOf, Emulated, runsOf } from '../test/emulated.ts';
import { bytes, Guest, minus, outcome, VPN } from '../test/guest.ts';
import { DirtyBitmap } from './dirty-bitmap.ts';
import { addDirtyScope, narrowDirtyScope, removeDirtyScope } from './dirty.ts';
import type { IommuGroup } from './vfio-domain.ts';
import { kernels, RUNS, type TestKernel } from '../test/kernels.ts';

const [START, STOP, GET] = [1, 2, 4];
const BITMAP_FLAG = 1;

/** A container without an IOMMU that logs, with mappings as [first page, pages]. */
function logging(...mappings: readonly (readonly [number, number])[]): Emulated {
  const made = new Emulated();
  for (const [iovaPn, npage] of mappings) expect(made.map(iovaPn, npage)).toBe(0);
  expect(made.dirty(START)).toBe(0);
  return made;
}

describe('devices without an IOMMU alone', () => {
  test('pinned pages are dirty, and once more after they were given back', () => {
    const made = logging([256, 16]);
    expect(made.runs(256, 16)).toEqual([]);
    for (const pn of [258, 259, 260, 271]) made.pin(pn);
    const pinned = [
      [2, 3],
      [15, 1],
    ];
    expect(made.runs(256, 16)).toEqual(pinned);
    expect(made.runs(256, 16)).toEqual(pinned);
    made.unpin(258);
    made.unpin(259);
    expect(made.runs(256, 16)).toEqual(pinned);
    expect(made.runs(256, 16)).toEqual([
      [4, 1],
      [15, 1],
    ]);
  });

  test('written pages are dirty once', () => {
    const made = logging([256, 16]);
    made.write(257, 2);
    made.write(264, 2);
    expect(made.runs(256, 16)).toEqual([
      [1, 2],
      [8, 2],
    ]);
    expect(made.runs(256, 16)).toEqual([]);
  });

  test('START finds the pins from before it', () => {
    const made = new Emulated();
    made.map(256, 8);
    made.map(264, 8);
    for (const pn of [257, 258, 264, 265]) made.pin(pn);
    made.write(262);
    made.dirty(START);
    const pinned = [
      [1, 2],
      [8, 2],
    ];
    expect(made.runs(256, 16)).toEqual(pinned);
    made.unpin(264);
    made.dirty(STOP);
    made.dirty(START);
    expect(made.runs(256, 16)).toEqual([
      [1, 2],
      [9, 1],
    ]);
  });

  test('a mapping that is made while logging is clean', () => {
    const made = logging();
    made.map(256, 8);
    expect(made.runs(256, 8)).toEqual([]);
    made.pin(263);
    expect(made.runs(256, 8)).toEqual([[7, 1]]);
  });

  test('a mapping of 8 TiB cannot be made while logging', () => {
    const made = logging();
    expect(made.map(0, 2 ** 31)).toBe(minus('EINVAL'));
    expect(made.iommu.failure?.at).toBe('vfio_dma_bitmap_alloc');
    expect([made.iommu.dmaList.size, made.iommu.dmaAvail]).toEqual([0, 65_535]);
    expect(made.map(0, 2 ** 31 - 1)).toBe(0);
  });

  test('a pin that is not aligned is the page in which it begins', () => {
    const made = logging([256, 16]);
    made.pin(256, 0x800);
    made.pin(260, 0xfff);
    made.pin(261, 0xfff);
    const runs = [
      [0, 1],
      [4, 2],
    ];
    expect(made.runs(256, 16)).toEqual(runs);
    expect(made.runs(256, 16)).toEqual(runs);
  });

  test('a pin that begins before its mapping is a bit far behind the bitmap', () => {
    const made = logging([256, 16]);
    const { iommu } = made;
    const dma = made.dmaAt(256);
    made.pin(256);
    const [vpfn] = dma.pfnList;
    dma.pfnList.erase(vpfn);
    dma.pfnList.insert(Object.assign(vpfn, { iovaPn: 255, offset: 0x800 }));
    expect(() => made.get(256, 16)).toThrow(
      'bitmap_set: bit of page 255, before the mapping at 256',
    );
    expect(iommu.dmaList.size).toBe(1);
  });
});

// The recordings of an emulated device, the same on 6.12.90, 6.16.12, 6.18.15 and 7.2.12.
describe('bits that the shift leaves behind, as recorded', () => {
  test('one mapping, 7 pages into the range', () => {
    const made = logging([0x107, 9]);
    made.pin(0x10f);
    const reads = [
      [[15, 1]],
      [
        [15, 1],
        [22, 1],
      ],
      [
        [15, 1],
        [22, 1],
        [29, 1],
      ],
    ];
    for (const runs of reads) expect(made.runs(0x100, 256)).toEqual(runs);
    made.unpin(0x10f);
    expect(made.runs(0x100, 256)).toEqual([
      [15, 1],
      [22, 1],
      [29, 1],
      [36, 1],
    ]);
    expect(made.runs(0x100, 256)).toEqual([
      [22, 1],
      [29, 1],
      [36, 1],
      [43, 1],
    ]);
    // Read from its own first page there is no shift; the bits behind its pages are not cleared.
    expect(made.runs(0x107, 9)).toEqual([]);
    expect(made.runs(0x100, 256)).toEqual([
      [29, 1],
      [36, 1],
      [43, 1],
      [50, 1],
    ]);
    made.dirty(STOP);
    made.dirty(START);
    expect(made.runs(0x100, 256)).toEqual([]);
  });

  test('several mappings in one read, and their unmap', () => {
    const made = logging([0x100, 7], [0x107, 9], [0x110, 80], [0x165, 3]);
    for (const pn of [0x100, 0x106, 0x107, 0x10f, 0x110, 0x14f, 0x15f, 0x167]) made.pin(pn);
    expect(made.runs(0x100, 104)).toEqual([
      [0, 1],
      [6, 2],
      [15, 2],
      [79, 1],
      [95, 1],
      [103, 1],
    ]);
    made.unpin(0x106);
    made.unpin(0x10f);
    expect(made.runs(0x100, 104)).toEqual([
      [0, 1],
      [6, 2],
      [15, 2],
      [22, 1],
      [79, 1],
      [95, 1],
      [103, 1],
    ]);
    expect(made.runs(0x107, 9)).toEqual([[0, 1]]);
    expect(made.get(0x108, 1).ret).toBe(minus('EINVAL'));
    expect(made.runs(0x100, 256)).toEqual([
      [0, 1],
      [7, 1],
      [16, 1],
      [22, 1],
      [29, 1],
      [79, 1],
      [95, 1],
      [103, 1],
      [111, 1],
      [116, 1],
      [127, 1],
    ]);
    expect(made.runs(0x110, 80)).toEqual([
      [0, 1],
      [63, 1],
      [79, 1],
    ]);
    for (const pn of [0x100, 0x107, 0x110, 0x14f, 0x15f, 0x167]) made.unpin(pn);
    const { ret, unmapped, bitmap } = made.unmap(0x100, 104);
    expect([ret, unmapped]).toEqual([0, bytes(99)]);
    bitmap?.clear(104, 64);
    expect(runsOf(bitmap)).toEqual([
      [0, 1],
      [7, 1],
      [16, 1],
      [29, 1],
      [36, 1],
      [79, 1],
      [95, 1],
      [103, 1],
    ]);
  });

  test('no shift where mappings lie at multiples of 64 pages of the range', () => {
    const made = logging([0x100, 64], [0x140, 9], [0x180, 64]);
    for (const pn of [0x13f, 0x148, 0x180, 0x1bf]) made.pin(pn);
    const all = [
      [63, 1],
      [72, 1],
      [128, 1],
      [191, 1],
    ];
    expect(made.runs(0x100, 256)).toEqual(all);
    expect(made.runs(0x100, 256)).toEqual(all);
    made.unpin(0x13f);
    made.unpin(0x148);
    expect(made.runs(0x100, 256)).toEqual(all);
    expect(made.runs(0x100, 256)).toEqual([
      [128, 1],
      [191, 1],
    ]);
  });

  test('with a group behind an IOMMU, and after it has left', () => {
    const made = logging([0x107, 9], [0x120, 1]);
    const group: IommuGroup = { name: 'edu', unit: intelVtd() };
    addDirtyScope(made.iommu);
    for (const dma of made.iommu.dmaList) dma.iommuMapped = true;
    expect(made.runs(0x100, 256)).toEqual([
      [7, 9],
      [32, 1],
    ]);
    expect(made.runs(0x100, 256)).toEqual([
      [7, 16],
      [32, 1],
      [39, 9],
    ]);
    for (const dma of made.iommu.dmaList) dma.iommuMapped = false;
    removeDirtyScope(made.iommu, group);
    expect(made.runs(0x100, 256)).toEqual([
      [7, 23],
      [32, 1],
      [39, 16],
    ]);
    expect(made.runs(0x100, 256)).toEqual([
      [16, 21],
      [39, 23],
    ]);
    expect(made.runs(0x100, 256)).toEqual([
      [23, 21],
      [48, 16],
    ]);
  });
});

describe('groups behind an IOMMU', () => {
  const [nic, gpu] = ['nic', 'gpu'].map((name): IommuGroup => ({ name, unit: intelVtd() }));

  /** A container that logs, with one mapping of 20 pages at 256, and these groups besides `device`. */
  function guest(kernel: TestKernel, ...groups: IommuGroup[]): Guest {
    const made = new Guest({ kernel }).mmap({ npage: 40 });
    for (const group of groups) made.container.addGroup(group);
    expect(outcome(made.map(256, 20))).toBe('ok');
    made.container.dirtyPages({ flags: START });
    return made;
  }

  function read(made: Guest): number[][] {
    const range = { iova: bytes(256), size: bytes(20), bitmap: { pgsize: 4096n, size: 8n } };
    return runsOf(made.container.dirtyPages({ flags: GET, range }));
  }

  function device(made: Guest): IommuGroup {
    return made.iommu.domainList[0].groupList[0];
  }

  test.each(kernels)('$name: each counts, whether it shares a domain or not', (kernel) => {
    const made = guest(kernel, nic, { name: 'narrow', unit: intelVtd(39) });
    expect(made.iommu.domainList.length).toBe(2);
    expect(made.iommu.numNonPinnedGroups).toBe(3);
    made.container.removeGroup(nic);
    expect(made.iommu.numNonPinnedGroups).toBe(2);
  });

  test.each(kernels)('$name: a mapping is dirty from end to end in every read', (kernel) => {
    const made = guest(kernel);
    expect([read(made), read(made)]).toEqual([[[0, 20]], [[0, 20]]]);
  });

  test('a group that pins pages tells what it dirties', () => {
    const made = guest(RUNS, nic);
    narrowDirtyScope(made.iommu, nic);
    narrowDirtyScope(made.iommu, nic);
    expect(made.iommu.numNonPinnedGroups).toBe(1);
    expect(read(made)).toEqual([[0, 20]]);
    narrowDirtyScope(made.iommu, device(made));
    expect(made.iommu.numNonPinnedGroups).toBe(0);
    expect(read(made)).toEqual([]);
  });

  test('when one leaves that told nothing, everything is dirty once', () => {
    const made = guest(RUNS, nic, gpu);
    narrowDirtyScope(made.iommu, device(made));
    narrowDirtyScope(made.iommu, gpu);
    read(made);
    made.container.removeGroup(nic);
    expect(made.iommu.numNonPinnedGroups).toBe(0);
    expect([read(made), read(made)]).toEqual([[[0, 20]], []]);
  });

  test('when one leaves that told all, nothing becomes dirty', () => {
    const made = guest(RUNS, gpu);
    narrowDirtyScope(made.iommu, device(made));
    narrowDirtyScope(made.iommu, gpu);
    read(made);
    made.container.removeGroup(gpu);
    expect([made.iommu.numNonPinnedGroups, read(made)]).toEqual([0, []]);
    // It comes back as one that tells nothing.
    made.container.addGroup(gpu);
    expect([made.iommu.numNonPinnedGroups, read(made)]).toEqual([1, [[0, 20]]]);
    made.container.removeGroup(gpu);
    expect(made.iommu.numNonPinnedGroups).toBe(0);
  });

  test('when one leaves and nothing is logged, nothing is dirty later', () => {
    const made = guest(RUNS, gpu);
    made.container.dirtyPages({ flags: STOP });
    made.container.removeGroup(gpu);
    narrowDirtyScope(made.iommu, device(made));
    made.container.dirtyPages({ flags: START });
    expect(read(made)).toEqual([]);
  });

  test('one that is refused does not count', () => {
    const made = guest(RUNS);
    made.unmap(256, 20, 4);
    expect(() => {
      made.container.addGroup(nic);
    }).toThrow('EBUSY');
    expect(made.iommu.numNonPinnedGroups).toBe(1);
  });

  test('a mapping that no IOMMU maps is not dirty for that', () => {
    const made = logging([256, 16]);
    addDirtyScope(made.iommu);
    made.pin(260);
    expect(made.runs(256, 16)).toEqual([[4, 1]]);
  });
});

describe('bitmaps of larger pages', () => {
  /** An IOMMU whose smallest page is 64 KiB. */
  function coarse(): Emulated {
    const made = new Emulated();
    made.iommu.pgsize = 65_536n;
    return made;
  }

  test('have a bit per page of the IOMMU', () => {
    const made = coarse();
    expect([made.map(0x1000, 160), made.dirty(START)]).toEqual([0, 0]);
    made.pin(0x1000 + 17);
    made.write(0x1000 + 63, 2);
    const [pgsize, size] = [65_536n, 8n];
    expect(runsOf(made.get(0x1000, 160, { pgsize, size }).bitmap)).toEqual([
      [1, 1],
      [3, 2],
    ]);
    expect(runsOf(made.get(0x1000 - 48, 208, { pgsize, size }).bitmap)).toEqual([[4, 1]]);
  });

  test('take no other page size', () => {
    const made = coarse();
    made.map(0x1000, 160);
    made.dirty(START);
    expect(made.get(0x1000, 160).ret).toBe(minus('EINVAL'));
    expect(made.get(0x1008, 16, { pgsize: 65_536n }).ret).toBe(minus('EINVAL'));
  });
});

describe('memory of the bitmap that is not there', () => {
  test('EFAULT; what there is of it is written', () => {
    const made = logging([256, 100], [512, 64]);
    made.write(256);
    made.write(355);
    made.write(512);
    const data = new DirtyBitmap(64);
    expect(made.get(256, 320, { data }).ret).toBe(minus('EFAULT'));
    expect(made.iommu.failure).toEqual({
      at: 'update_user_bitmap',
      detail: { dmaIovaPn: 256, bits: 100, offset: 0, memoryBits: 64 },
    });
    expect(runsOf(data)).toEqual([[0, 1]]);
    // Nothing was started anew: the next read shows it all.
    expect(made.runs(256, 320)).toEqual([
      [0, 1],
      [99, 1],
      [256, 1],
    ]);
  });

  test('the mappings before are read and started anew', () => {
    const made = logging([256, 64], [320, 64]);
    made.write(256);
    made.write(383);
    const data = new DirtyBitmap(64);
    expect(made.get(256, 128, { data }).ret).toBe(minus('EFAULT'));
    expect(made.runs(256, 128)).toEqual([[127, 1]]);
  });

  test('the shift is made before it is noticed', () => {
    const made = logging([260, 4]);
    made.write(260);
    const empty = new DirtyBitmap(0);
    expect(made.get(256, 8, { data: empty }).ret).toBe(minus('EFAULT'));
    expect(made.dmaAt(260).bitmap?.has(4)).toBe(true);
    expect(runsOf(made.get(256, 8).bitmap)).toEqual([[8, 1]]);
  });
});

test('an unaligned mapping takes the bits of its first word that the user has set, for good', () => {
  const made = logging([260, 100]);
  const data = bitmapOf(128, [0, 63, 64]);
  expect(made.get(256, 104, { data }).ret).toBe(0);
  expect(runsOf(data)).toEqual([
    [0, 1],
    [63, 1],
  ]);
  // They were its own bits until it was started anew.
  expect(made.runs(256, 104)).toEqual([]);
});

describe('UNMAP with GET_DIRTY_BITMAP', () => {
  const REQUEST = { flags: BITMAP_FLAG, iova: bytes(256), size: bytes(80) };

  /** Mappings of 10 pages at 256, 266 and 300, logging. */
  function guest(kernel: TestKernel): Guest {
    const made = new Guest({ kernel }).mmap({ npage: 40 });
    for (const [i, iovaPn] of [256, 266, 300].entries()) {
      expect(outcome(made.map(iovaPn, 10, VPN + 10 * i))).toBe('ok');
    }
    made.container.dirtyPages({ flags: START });
    return made;
  }

  test.each(kernels)('$name: unmaps, and returns what was dirty', (kernel) => {
    const made = guest(kernel);
    const bitmap = { pgsize: 4096n, size: 16n };
    const result = made.container.tryUnmapDma({ ...REQUEST, bitmap });
    expect(result).toMatchObject({ ret: 0, size: bytes(30) });
    expect(runsOf(result.bitmap)).toEqual([
      [0, 20],
      [44, 10],
    ]);
    expect([made.dmas(), made.memory.vmstat.pinsHeld, made.mm.lockedVm]).toEqual([[], 0, 0]);
    expect(made.iommu.dirtyPageTracking).toBe(true);
  });

  test.each(kernels)('$name: of nothing shows nothing', (kernel) => {
    const bitmap = { pgsize: 4096n, size: 16n };
    const result = guest(kernel).container.tryUnmapDma({ ...REQUEST, iova: bytes(512), bitmap });
    expect(result).toMatchObject({ ret: 0, size: 0n });
    expect(runsOf(result.bitmap)).toEqual([]);
  });

  test('returns no bitmap without the flag', () => {
    const made = guest(RUNS);
    const bitmap = { pgsize: 4096n, size: 16n };
    const result = made.container.tryUnmapDma({ ...REQUEST, flags: 0, bitmap });
    expect(result).toMatchObject({ ret: 0, bitmap: null });
  });

  test('fails with another page size than the smallest', () => {
    const made = guest(RUNS);
    const before = made.state();
    const bitmap = { pgsize: 8192n, size: 16n };
    const result = made.container.tryUnmapDma({ ...REQUEST, bitmap });
    expect(result).toEqual({
      ...{ ret: minus('EINVAL'), at: 'vfio_dma_do_unmap', size: bytes(80), bitmap: null },
      detail: { dirtyTracking: true, bitmapPgsize: 8192n, pgsize: 4096n },
    });
    expect(made.state()).toBe(before);
  });

  test.each(kernels)('$name: EFAULT in the middle: what came before is gone unsaid', (kernel) => {
    const made = guest(kernel);
    expect(outcome(made.map(384, 10))).toBe('ok');
    const data = new DirtyBitmap(64);
    const bitmap = { pgsize: 4096n, size: 24n, data };
    const result = made.container.tryUnmapDma({ ...REQUEST, size: bytes(150), bitmap });
    expect(result).toMatchObject({ ret: minus('EFAULT'), size: bytes(150) });
    expect(result.at).toBe('update_user_bitmap');
    expect(result.bitmap).toBe(data);
    expect(runsOf(data)).toEqual([
      [0, 20],
      [44, 10],
    ]);
    expect([made.dmas(), made.memory.vmstat.pinsHeld]).toEqual([[[384, 10]], 10]);
  });

  test('a mapping made again is clean', () => {
    const made = new Emulated();
    made.dirty(START);
    made.map(256, 16);
    made.pin(260);
    made.unpin(260);
    const { iommu } = made;
    expect(made.dmaAt(256).bitmap?.set).toBe(1);
    iommu.dmaList.erase(made.dmaAt(256));
    made.map(256, 16);
    expect(made.runs(256, 16)).toEqual([]);
  });
});
