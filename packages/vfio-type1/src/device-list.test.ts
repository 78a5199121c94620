import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { bytes, minus, VPN } from '../test/guest.ts';
import { IOVA, Mdev, NPAGE } from '../test/mdev.ts';
import {
  VFIO_DMA_UNMAP_FLAG_ALL as ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP as DIRTY,
  VFIO_DMA_UNMAP_FLAG_VADDR as VADDR,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START,
  type UnmapResult,
} from './uapi.ts';
import { kernels } from '../test/kernels.ts';

/** VFIO_IOMMU_UNMAP_DMA in pages. */
function unmap({ container }: Mdev, iovaPn: number, npage: number, flags = 0): UnmapResult {
  return container.tryUnmapDma({ iova: bytes(iovaPn), size: bytes(npage), flags });
}

describe.each(kernels)('$name: UNMAP of a mapping with pins', (kernel) => {
  test('tells the device of the whole mapping, and then unmaps', () => {
    const made = new Mdev({ kernel }).map();
    made.pin(IOVA + 3, 2);
    made.releaseOnUnmap(IOVA, NPAGE);
    expect(unmap(made, IOVA, NPAGE)).toMatchObject({ ret: 0, size: bytes(NPAGE) });
    expect(made.log).toEqual([['first', IOVA, NPAGE]]);
    expect([made.held, made.iommu.dmaList.size]).toEqual([[0, 0], 0]);
  });

  test('tells every open device that wants to know, the last opened first', () => {
    const made = new Mdev({ kernel }).map();
    const second = made.addDevice('second');
    made.container.openDevice({ name: 'silent', group: second.group });
    made.pin(IOVA);
    made.releaseOnUnmap(IOVA);
    unmap(made, IOVA, NPAGE);
    expect(made.log.map(([name]) => name)).toEqual(['second', 'first']);
  });

  test('tells nobody where nothing is pinned, and where the range cuts', () => {
    const made = new Mdev({ kernel }).map();
    made.pin(IOVA);
    expect(unmap(made, IOVA, 1).ret).toBe(minus('EINVAL'));
    made.unpin(IOVA);
    expect(unmap(made, IOVA, NPAGE).ret).toBe(0);
    expect(made.log).toEqual([]);
  });

  test.each([10, 11])('asks again %i times, and BUGs after ten', (refused) => {
    const made = new Mdev({ kernel }).map();
    made.pin(IOVA);
    made.device.onUnmap = () => {
      if (made.log.length > refused) made.unpin(IOVA);
    };
    const call = (): UnmapResult => unmap(made, IOVA, NPAGE);
    if (refused > 10) expect(call).toThrow(KernelBug);
    else expect(call()).toMatchObject({ ret: 0, size: bytes(NPAGE) });
    expect(made.log.length).toBe(11);
  });

  test('begins to count anew with the next mapping', () => {
    const made = new Mdev({ kernel }).map(IOVA, 4).map(IOVA + 4, 4, VPN + 4);
    for (let i = 0; i < 8; i++) made.pin(IOVA + 3, 2);
    made.device.onUnmap = () => {
      const [, iovaPn] = made.log[made.log.length - 1];
      made.unpin(iovaPn === IOVA ? IOVA + 3 : IOVA + 4);
    };
    expect(unmap(made, IOVA, 8)).toMatchObject({ ret: 0, size: bytes(8) });
    expect(made.log.length).toBe(16);
  });

  test('with ALL: mapping by mapping', () => {
    const made = new Mdev({ kernel }).map(IOVA, 4).map(1024, 4).map(2048, 4);
    for (const iovaPn of [IOVA, 2048]) made.pin(iovaPn);
    made.device.onUnmap = () => {
      made.unpin(made.log[made.log.length - 1][1]);
    };
    expect(unmap(made, 0, 0, ALL)).toMatchObject({ ret: 0, size: bytes(12) });
    expect(made.log).toEqual([
      ['first', IOVA, 4],
      ['first', 2048, 4],
    ]);
  });

  test('without an open device nobody can give them back', () => {
    const made = new Mdev({ kernel }).map();
    made.pin(IOVA);
    made.container.closeDevice(made.device);
    expect(() => unmap(made, IOVA, NPAGE)).toThrow(KernelBug);
  });
});

test('the dirty bitmap is read after the device was told', () => {
  const made = new Mdev().map();
  made.container.dirtyPages({ flags: START });
  made.pin(IOVA + 2);
  made.device.onUnmap = () => {
    made.pin(IOVA + 5);
    made.unpin(IOVA + 5);
    made.unpin(IOVA + 2);
  };
  const bitmap = { pgsize: 4096n, size: 8n };
  const range = { iova: bytes(IOVA), size: bytes(NPAGE) };
  const done = made.container.tryUnmapDma({ flags: DIRTY, ...range, bitmap });
  expect([done.ret, [...(done.bitmap?.runs() ?? [])]]).toEqual([
    0,
    [
      [2, 1],
      [5, 1],
    ],
  ]);
});

test('the checks are made again after the device was told', () => {
  const made = new Mdev().map(IOVA, 4).map(IOVA + 4, 4);
  made.pin(IOVA + 4);
  made.device.onUnmap = () => {
    made.device.onUnmap = () => undefined;
    made.unpin(IOVA + 4);
    made.container.unmapDma({ iova: bytes(IOVA + 4), size: bytes(4) });
    made.map(IOVA + 4, 5);
  };
  expect(unmap(made, IOVA, 8).ret).toBe(minus('EINVAL'));
  expect([...made.iommu.dmaList].map(({ iovaPn, npage }) => [iovaPn, npage])).toEqual([
    [IOVA + 4, 5],
  ]);
});

describe('a vaddr', () => {
  test('is not invalidated while there is an emulated group, open device or not', () => {
    const made = new Mdev().map();
    made.container.closeDevice(made.device);
    expect(unmap(made, IOVA, NPAGE, VADDR)).toMatchObject({
      ...{ ret: minus('EBUSY'), at: 'vfio_dma_do_unmap' },
      detail: { flags: VADDR, emulatedGroups: 1 },
    });
    // Before the range is looked at.
    expect(unmap(made, IOVA + 1, 0, VADDR).ret).toBe(minus('EBUSY'));
  });

  test('that is invalid keeps an emulated group out', () => {
    const made = new Mdev();
    made.container.addGroup(made.nic);
    made.container.closeDevice(made.device);
    made.container.removeGroup(made.device.group);
    made.map();
    expect(unmap(made, IOVA, NPAGE, VADDR).ret).toBe(0);
    expect(() => {
      made.container.addGroup(made.device.group);
    }).toThrow('EBUSY at vfio_iommu_type1_attach_group');
  });
});
