import { errnoName, KernelBug } from '@pinfold/base';
import { exitMmap } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { bytes, VPN } from '../test/guest.ts';
import { IOVA, Mdev, NPAGE } from '../test/mdev.ts';
import { VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START } from './uapi.ts';
import { kernels, testKernel } from '../test/kernels.ts';

const READ = 1;
const WRITE = 2;
const PIN = 'vfio_iommu_type1_pin_pages';

function named(ret: number): string | number {
  return ret < 0 ? errnoName(ret) : ret;
}

/** Bytes from the start of the mapping. */
function at(page: number, offset = 0): bigint {
  return bytes(IOVA + page) + BigInt(offset);
}

describe.each(kernels)('$name: pages of a mapping', (kernel) => {
  test('MAP pins nothing, whatever lies behind it', () => {
    const made = new Mdev({ kernel }).map().map(2 ** 50, 4, 2 ** 30);
    expect(made.held).toEqual([0, 0]);
  });

  test('one pin and one charge per node, a reference for each pin', () => {
    const made = new Mdev({ kernel }).map();
    expect([made.pin(IOVA, 2), made.pin(IOVA + 1, 2)]).toEqual([2, 2]);
    expect(made.held).toEqual([3, 3]);
    expect(made.nodes).toEqual([
      [IOVA, 0, 1],
      [IOVA + 1, 0, 2],
      [IOVA + 2, 0, 1],
    ]);
    expect(made.memory.counters.snapshot()).toMatchObject({ gupCalls: 3, vpfnAllocs: 3 });
  });

  test('each address inside a page is a node of its own', () => {
    const made = new Mdev({ kernel }).map();
    for (const offset of [0, 1, 4095]) expect(made.pinAt(at(3, offset))).toBe(1);
    expect(made.held).toEqual([3, 3]);
  });

  test('with an IOMMU in the container nothing is charged', () => {
    const made = new Mdev({ kernel }).map();
    made.container.addGroup(made.nic);
    expect(made.held).toEqual([NPAGE, NPAGE]);
    expect(made.pin(IOVA, 3)).toBe(3);
    expect(made.held).toEqual([NPAGE + 3, NPAGE]);
    made.unpin(IOVA, 3);
    expect(made.held).toEqual([NPAGE, NPAGE]);
  });

  test('a page that begins before the mapping is the memory before it', () => {
    const made = new Mdev({ kernel }).map(IOVA, 4, VPN + 4);
    expect(made.pinAt(at(-1, 0x800))).toBe(1);
    const [dma] = made.iommu.dmaList;
    expect(dma.pfnList.root?.pfn).toBe(made.mm.pageTable.pfnAt(VPN + 3));
    expect(named(made.pinAt(at(-1)))).toBe('EINVAL');
  });

  test('a page that ends behind the mapping is not', () => {
    const made = new Mdev({ kernel }).map();
    expect(made.pinAt(at(NPAGE - 1, 1))).toBe(1);
    expect(named(made.pinAt(at(NPAGE - 1, 1), 2))).toBe('EINVAL');
  });
});

describe('access', () => {
  test.each([
    // access of the mapping, access that is wanted, result
    [READ, READ, 1],
    [READ, 0, 1],
    [READ, WRITE, 'EPERM'],
    [READ, READ | WRITE, 'EPERM'],
    [WRITE, WRITE, 1],
    [WRITE, READ, 'EPERM'],
    [READ | WRITE, READ, 1],
    [READ | WRITE, 4, 'EPERM'],
    [READ | WRITE, -1, 'EPERM'],
  ])('mapping %i, wanted %i', (flags, prot, result) => {
    const made = new Mdev().map(IOVA, NPAGE, VPN, flags);
    expect(named(made.pin(IOVA, 1, prot))).toBe(result);
  });

  test('is looked at for a page that is pinned too', () => {
    const made = new Mdev().map(IOVA, NPAGE, VPN, READ);
    expect([made.pin(IOVA, 1, READ), named(made.pin(IOVA, 1, WRITE))]).toEqual([1, 'EPERM']);
    expect(made.nodes).toEqual([[IOVA, 0, 1]]);
  });
});

describe('a call that fails', () => {
  test('gives back what it has pinned, and the references that it has taken', () => {
    const made = new Mdev().map(IOVA, 4).map(IOVA + 4, 4, VPN + 4, READ);
    made.pin(IOVA + 2);
    const before = [made.held, made.nodes];
    expect(named(made.pin(IOVA + 1, 5))).toBe('EPERM');
    expect([made.held, made.nodes]).toEqual(before);
    expect(made.memory.vmstat.nrFollPinReleased).toBe(2);
  });

  test('leaves its bits in the dirty bitmap', () => {
    const made = new Mdev().map();
    made.container.dirtyPages({ flags: START });
    expect(named(made.pin(IOVA + NPAGE - 1, 2))).toBe('EINVAL');
    const [dma] = made.iommu.dmaList;
    expect([...(dma.bitmap?.runs() ?? [])]).toEqual([[NPAGE - 1, 1]]);
  });

  test('has pinned the page that is over the limit', () => {
    const made = new Mdev({ memlockPages: 4 }).map();
    expect(named(made.pin(IOVA, 5))).toBe('ENOMEM');
    expect(made.iommu.failure).toEqual({
      at: 'vfio_lock_acct',
      detail: { lockedVmPages: 4, chunkPages: 1, limitPages: 4 },
    });
    expect([made.held, made.memory.vmstat.nrFollPinAcquired]).toEqual([[0, 0], 5]);
    expect(made.memory.log.take()).toEqual([
      { kind: 'print', text: 'vfio_pin_page_external: RLIMIT_MEMLOCK (16384) exceeded' },
    ]);
    expect(made.pin(IOVA, 4)).toBe(4);
  });

  test.each([
    ['no memory', new Mdev().map(IOVA, 1, 2 ** 30), 'EFAULT', 'vaddr_get_pfns'],
    ['memory before address 0', new Mdev().map(IOVA, 1, 0), 'EFAULT', 'vaddr_get_pfns'],
    ['device memory', new Mdev().mmapBar(2 ** 21, 2).map(IOVA, 1, 2 ** 21 + 1), 'EINVAL', PIN],
  ])('%s', (_, made, errno, where) => {
    expect(named(made.pinAt(at(-1, 0x800)))).toBe(errno);
    expect(made.iommu.failure?.at).toBe(where);
    expect([made.held, made.nodes]).toEqual([[0, 0], []]);
  });

  test('when the process has gone', () => {
    const made = new Mdev().map();
    made.mm.mmUsers = 0;
    exitMmap(made.mm);
    expect(named(made.pin(IOVA))).toBe('ENODEV');
  });
});

test('the capability is that of the mapping when it was made', () => {
  const made = new Mdev({ memlockPages: 1, capIpcLock: true }).map();
  made.task.capIpcLock = false;
  expect(made.pin(IOVA, 4)).toBe(4);
});

describe('dirty bits', () => {
  test('are of the page that holds the address', () => {
    const made = new Mdev().map();
    made.container.dirtyPages({ flags: START });
    expect(made.pinAt(at(2, 4095), 2)).toBe(2);
    const [dma] = made.iommu.dmaList;
    expect([...(dma.bitmap?.runs() ?? [])]).toEqual([[2, 2]]);
  });

  test('before the bitmap: the kernel writes somewhere', () => {
    const made = new Mdev().map(IOVA, 4, VPN + 4);
    made.container.dirtyPages({ flags: START });
    expect(() => made.pinAt(at(-1, 1))).toThrow(KernelBug);
  });
});

describe('pins at several addresses of a page, when an IOMMU comes and goes', () => {
  test.each([
    // Charged after the attach and after the detach. 6.12 and 6.16 look for a node at exactly the
    // page; later ones count the nodes in the range, of which there are more than pages.
    ['page-array', 5, 6],
    ['batches', 5, 6],
    ['runs', 2, 3],
    ['generic-pt', 2, 3],
  ])('%s', (name, attached, detached) => {
    const made = new Mdev({ kernel: testKernel(name) }).map(IOVA, 2);
    for (const offset of [1, 2, 3]) made.pinAt(at(0, offset));
    expect(made.held).toEqual([3, 3]);
    made.container.addGroup(made.nic);
    expect(made.held).toEqual([5, attached]);
    made.container.removeGroup(made.nic);
    expect(made.held).toEqual([3, detached]);
  });
});
