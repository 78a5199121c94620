import { errnoName } from '@pinfold/base';
import { MmStruct, readUser, Task } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { bytes, VPN } from '../test/guest.ts';
import { IOVA, Mdev, NPAGE, type MdevOptions } from '../test/mdev.ts';
import { VFIO_IOMMU_DIRTY_PAGES_FLAG_START as START } from './uapi.ts';
import { kernels } from '../test/kernels.ts';

const READ = 1;
const WRITE = 2;

function named(ret: number): string | number {
  return ret < 0 ? errnoName(ret) : ret;
}

/** A write of a byte again and again, or a read; returns 0 or the errno's name. */
function rw(
  made: Mdev,
  iova: bigint,
  data: Uint8Array | null,
  write = true,
  current: Task | null = made.task,
): string | number {
  return named(made.container.tryDmaRw(made.device, current, iova, data, write));
}

function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

/** What the process finds in its memory. */
function memoryAt({ mm }: Mdev, address: bigint, length: number): number[] {
  const found = new Uint8Array(length);
  expect(readUser(mm, address, found)).toBe(0);
  return [...found];
}

describe.each(kernels)('$name', (kernel) => {
  test('writes and reads across mappings, without pinning', () => {
    const made = new Mdev({ kernel }).map(IOVA, 2, VPN + 4).map(IOVA + 2, 2, VPN);
    const border = bytes(IOVA + 2) - 2n;
    expect(rw(made, border, Uint8Array.of(1, 2, 3, 4))).toBe(0);
    expect(memoryAt(made, bytes(VPN + 6) - 2n, 2)).toEqual([1, 2]);
    expect(memoryAt(made, bytes(VPN), 2)).toEqual([3, 4]);
    const read = filled(6, 0xee);
    expect(rw(made, border - 1n, read, false)).toBe(0);
    expect([...read]).toEqual([0, 1, 2, 3, 4, 0]);
    expect([made.held, made.nodes]).toEqual([[0, 0], []]);
  });

  test('works on type1 v1 and for a device that cannot pin', () => {
    const made = new Mdev({ kernel, v2: false }).map();
    const silent = { name: 'silent', group: made.device.group };
    made.container.openDevice(silent);
    expect(made.container.tryDmaRw(silent, made.task, bytes(IOVA), filled(1, 7), true)).toBe(0);
    expect(memoryAt(made, bytes(VPN), 1)).toEqual([7]);
  });
});

describe('refuses', () => {
  test.each<[string, MdevOptions, (made: Mdev) => string | number, string]>([
    ['a NULL buffer', {}, (made) => rw(made, bytes(IOVA), null), 'EINVAL'],
    ['no bytes', {}, (made) => rw(made, bytes(IOVA), filled(0, 1)), 'EINVAL'],
    ['what is not mapped', {}, (made) => rw(made, bytes(IOVA) - 1n, filled(1, 1)), 'EINVAL'],
  ])('%s', (_, options, call, errno) => {
    expect(call(new Mdev(options).map())).toBe(errno);
  });

  test('a device that is not open, with a warning', () => {
    const made = new Mdev().map();
    made.container.closeDevice(made.device);
    expect([rw(made, bytes(IOVA), filled(1, 1)), rw(made, 0n, filled(1, 1))]).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
    expect(made.memory.log.take()).toEqual([{ kind: 'warn-once', text: 'vfio_dma_rw' }]);
  });

  test('while a vaddr is invalid', () => {
    const made = new Mdev().map();
    made.iommu.vaddrInvalidCount = 1;
    expect(rw(made, bytes(IOVA), filled(1, 1))).toBe('EBUSY');
  });

  test.each([
    // access of the mapping, whether it is written, result
    [READ, false, 0],
    [READ, true, 'EPERM'],
    [WRITE, false, 'EPERM'],
    [WRITE, true, 'EPERM'],
    [READ | WRITE, true, 0],
  ])('mapping %i, write %o: %s', (flags, write, result) => {
    const made = new Mdev().map(IOVA, 1, VPN, flags);
    expect(rw(made, bytes(IOVA), filled(1, 1), write)).toBe(result);
  });

  test('memory of another process, but not a kernel thread', () => {
    const made = new Mdev().map();
    const other = new Task(new MmStruct(made.memory));
    expect(rw(made, bytes(IOVA), filled(1, 1), true, other)).toBe('EFAULT');
    expect(rw(made, bytes(IOVA), filled(1, 1), true, null)).toBe(0);
    made.mm.mmUsers = 0;
    expect(rw(made, bytes(IOVA), filled(1, 1), true, other)).toBe('EPERM');
  });
});

describe('what was done before an error stays', () => {
  test('the mapping before a hole', () => {
    const made = new Mdev().map();
    const end = bytes(IOVA + NPAGE);
    expect(rw(made, end - 2n, filled(4, 9))).toBe('EINVAL');
    expect(memoryAt(made, bytes(VPN + NPAGE) - 3n, 3)).toEqual([0, 9, 9]);
    const read = filled(4, 0xee);
    expect(rw(made, end - 2n, read, false)).toBe('EINVAL');
    expect([...read]).toEqual([9, 9, 0xee, 0xee]);
  });

  test('memory before memory that is not there, undirtied; a read fills up with zeros', () => {
    const made = new Mdev().map(IOVA, NPAGE + 1);
    made.container.dirtyPages({ flags: START });
    const end = bytes(IOVA + NPAGE);
    expect(rw(made, end - 2n, filled(4, 9))).toBe('EFAULT');
    expect(memoryAt(made, bytes(VPN + NPAGE) - 3n, 3)).toEqual([0, 9, 9]);
    const read = filled(4, 0xee);
    expect(rw(made, end - 2n, read, false)).toBe('EFAULT');
    expect([...read]).toEqual([9, 9, 0, 0]);
    const [dma] = made.iommu.dmaList;
    expect(dma.bitmap?.set).toBe(0);
  });
});

test('a write makes the pages dirty that it touches', () => {
  const made = new Mdev().map();
  made.container.dirtyPages({ flags: START });
  const middle = bytes(IOVA + 3) - 1n;
  expect(rw(made, middle, filled(2, 1))).toBe(0);
  expect(rw(made, bytes(IOVA + 8), filled(4096, 1))).toBe(0);
  expect(rw(made, bytes(IOVA + 12), filled(4096, 1), false)).toBe(0);
  const [dma] = made.iommu.dmaList;
  expect([...(dma.bitmap?.runs() ?? [])]).toEqual([
    [2, 2],
    [8, 1],
  ]);
});

test('dmaRw throws what tryDmaRw returns', () => {
  const made = new Mdev().map();
  made.container.dmaRw(made.device, null, bytes(IOVA), filled(1, 1), true);
  expect(() => {
    made.container.dmaRw(made.device, null, 0n, filled(1, 1), true);
  }).toThrow('vfio_dma_rw: EINVAL at vfio_iommu_type1_dma_rw');
});
