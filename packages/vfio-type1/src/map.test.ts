import { describe, expect, test } from 'vitest';
import {
  bytes,
  Guest,
  minus,
  outcome,
  PFN,
  SECTION,
  VPN,
  type GuestOptions,
} from '../test/guest.ts';
import { IOMMU } from '@pinfold/iommu';
import { Task, MmStruct } from '@pinfold/mm';
import {
  VFIO_DMA_MAP_FLAG_READ as READ,
  VFIO_DMA_MAP_FLAG_VADDR as VADDR,
  VFIO_DMA_MAP_FLAG_WRITE as WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  type VfioIommuType1DmaMap,
} from './uapi.ts';
import { kernels, LENIENT, STRICT, type TestKernel } from '../test/kernels.ts';

const RW = READ | WRITE;
const U64 = 2n ** 64n;

/** 100 pages of memory, ten of them mapped at 1 MiB. */
function guest(options: GuestOptions = {}): Guest {
  const made = new Guest(options).mmap({ npage: 100 });
  expect(outcome(made.map(256, 10))).toBe('ok');
  return made;
}

/** A good request: ten more pages at 2 MiB. */
const GOOD: Required<VfioIommuType1DmaMap> = {
  argsz: 32,
  flags: RW,
  iova: bytes(512),
  vaddr: bytes(VPN + 10),
  size: bytes(10),
};

// Faults, each with what it changes in the good request. The number is the check's in the reference
// (type1.md §2).
const BAD_ARGSZ = { argsz: 31 };
const UNKNOWN_FLAG = { flags: RW | 8 };
const EMPTY = { size: 0n };
const IOVA_WRAPS = { iova: U64 - bytes(5) };
const VADDR_WRAPS = { vaddr: U64 - bytes(5) };
const NO_ACCESS = { flags: 0 };
const VADDR_AND_ACCESS = { flags: VADDR | READ };
const IOVA_MISALIGNED = { iova: bytes(512) + 1n };
const VADDR_MISALIGNED = { vaddr: bytes(VPN + 10) + 512n };
const SIZE_MISALIGNED = { size: bytes(10) + 2048n };
const VADDR_OF_NOTHING = { flags: VADDR };
const OVERLAP = { iova: bytes(265) };
const NO_ENTRY = { entries: 1 };
const MSI_WINDOW = { iova: bytes(0xfee00) };
const NO_MEMORY = { vaddr: bytes(VPN + 95) };
const OVER_LIMIT = { memlockPages: 19 };

type Fault = Partial<VfioIommuType1DmaMap> & { entries?: number; memlockPages?: number };

/** Runs the good request with faults in it; returns the errno and the function that gave it. */
function refused(kernel: TestKernel, ...faults: readonly Fault[]): { got: string; at: string } {
  const {
    entries = 65535,
    memlockPages = Infinity,
    ...args
  } = Object.assign({}, ...faults) as Fault;
  const made = guest({ kernel, memlockPages, params: { dmaEntryLimit: entries } });
  const before = made.state();
  const result = made.container.tryMapDma(made.task, { ...GOOD, ...args });
  expect(made.state()).toBe(before);
  expect([...made.memory.warnings]).toEqual([]);
  return { got: outcome(result), at: result.at };
}

const IOCTL = 'vfio_iommu_type1_map_dma';
const DO_MAP = 'vfio_dma_do_map';

test.each(kernels)('$name: a good request succeeds', (kernel) => {
  const made = guest({ kernel });
  const result = made.container.tryMapDma(made.task, GOOD);
  expect(result).toEqual({ ret: 0, at: '', detail: {} });
  expect(made.dmas()).toEqual([
    [256, 10],
    [512, 10],
  ]);
  expect(made.mm.lockedVm).toBe(20);
});

describe('every check, and the function whose it is', () => {
  test.each<[string, Fault, string, string, string, string]>([
    // what, fault, 6.16: errno and function, 6.18: errno and function
    ['2 the structure is too short', BAD_ARGSZ, 'EINVAL', IOCTL, 'EINVAL', IOCTL],
    ['2 an unknown flag', UNKNOWN_FLAG, 'EINVAL', IOCTL, 'EINVAL', IOCTL],
    ['4/7 no size', EMPTY, 'EINVAL', DO_MAP, 'EINVAL', IOCTL],
    ['5/8 iova wraps', IOVA_WRAPS, 'EINVAL', DO_MAP, 'EOVERFLOW', IOCTL],
    ['5/8 vaddr wraps', VADDR_WRAPS, 'EINVAL', DO_MAP, 'EOVERFLOW', IOCTL],
    ['6 no access', NO_ACCESS, 'EINVAL', IOCTL, 'EINVAL', IOCTL],
    ['6 VADDR with access', VADDR_AND_ACCESS, 'EINVAL', IOCTL, 'EINVAL', IOCTL],
    ['7 iova misaligned', IOVA_MISALIGNED, 'EINVAL', DO_MAP, 'EINVAL', DO_MAP],
    ['7 vaddr misaligned', VADDR_MISALIGNED, 'EINVAL', DO_MAP, 'EINVAL', DO_MAP],
    ['7 size misaligned', SIZE_MISALIGNED, 'EINVAL', DO_MAP, 'EINVAL', DO_MAP],
    ['9 VADDR where no mapping is', VADDR_OF_NOTHING, 'ENOENT', DO_MAP, 'ENOENT', DO_MAP],
    ['10 overlap', OVERLAP, 'EEXIST', DO_MAP, 'EEXIST', DO_MAP],
    ['11 no entry left', NO_ENTRY, 'ENOSPC', DO_MAP, 'ENOSPC', DO_MAP],
    [
      '12 the interrupt window',
      MSI_WINDOW,
      'EINVAL',
      'vfio_iommu_iova_dma_valid',
      'EINVAL',
      'vfio_iommu_iova_dma_valid',
    ],
    ['15 no memory', NO_MEMORY, 'EFAULT', 'vaddr_get_pfns', 'EFAULT', 'vaddr_get_pfns'],
    [
      '15 over the limit',
      OVER_LIMIT,
      'ENOMEM',
      'vfio_pin_pages_remote',
      'ENOMEM',
      'vfio_pin_pages_remote',
    ],
  ])('%s', (_, fault, errnoBefore, atBefore, errnoSince, atSince) => {
    for (const kernel of LENIENT)
      expect(refused(kernel, fault)).toEqual({ got: errnoBefore, at: atBefore });
    for (const kernel of STRICT)
      expect(refused(kernel, fault)).toEqual({ got: errnoSince, at: atSince });
  });
});

describe('of two faults, the first check wins', () => {
  test.each<[string, Fault[], string, string]>([
    // what, faults, 6.16, 6.18
    ['structure before wrapping', [BAD_ARGSZ, IOVA_WRAPS], 'EINVAL', 'EINVAL'],
    ['unknown flag before wrapping', [UNKNOWN_FLAG, VADDR_WRAPS], 'EINVAL', 'EINVAL'],
    ['6.18: wrapping before access', [NO_ACCESS, IOVA_WRAPS], 'EINVAL', 'EOVERFLOW'],
    [
      '6.18: wrapping before VADDR with access',
      [VADDR_AND_ACCESS, VADDR_WRAPS],
      'EINVAL',
      'EOVERFLOW',
    ],
    ['6.18: wrapping before alignment', [IOVA_WRAPS, VADDR_MISALIGNED], 'EINVAL', 'EOVERFLOW'],
    [
      '6.18: wrapping before a missing mapping',
      [VADDR_OF_NOTHING, VADDR_WRAPS],
      'EINVAL',
      'EOVERFLOW',
    ],
    ['no size before a missing mapping', [VADDR_OF_NOTHING, EMPTY], 'EINVAL', 'EINVAL'],
    ['alignment before a missing mapping', [VADDR_OF_NOTHING, SIZE_MISALIGNED], 'EINVAL', 'EINVAL'],
    ['alignment before overlap', [OVERLAP, VADDR_MISALIGNED], 'EINVAL', 'EINVAL'],
    ['wrapping before overlap', [OVERLAP, VADDR_WRAPS], 'EINVAL', 'EOVERFLOW'],
    ['wrapping before the entry limit', [NO_ENTRY, IOVA_WRAPS], 'EINVAL', 'EOVERFLOW'],
    ['a missing mapping before the entry limit', [VADDR_OF_NOTHING, NO_ENTRY], 'ENOENT', 'ENOENT'],
    ['overlap before the entry limit', [OVERLAP, NO_ENTRY], 'EEXIST', 'EEXIST'],
    ['overlap before memory', [OVERLAP, NO_MEMORY], 'EEXIST', 'EEXIST'],
    ['the entry limit before the interrupt window', [NO_ENTRY, MSI_WINDOW], 'ENOSPC', 'ENOSPC'],
    ['the interrupt window before memory', [MSI_WINDOW, NO_MEMORY], 'EINVAL', 'EINVAL'],
    ['the entry limit before memory', [NO_ENTRY, NO_MEMORY], 'ENOSPC', 'ENOSPC'],
    [
      'the limit before memory that is missing further on',
      [OVER_LIMIT, { size: bytes(91) }],
      'ENOMEM',
      'ENOMEM',
    ],
  ])('%s', (_, faults, errnoBefore, errnoSince) => {
    for (const kernel of LENIENT) expect(refused(kernel, ...faults).got).toBe(errnoBefore);
    for (const kernel of STRICT) expect(refused(kernel, ...faults).got).toBe(errnoSince);
  });
});

describe.each(kernels)('$name: ranges at the end of the address spaces', (kernel) => {
  test.each<[string, Partial<VfioIommuType1DmaMap>, string]>([
    [
      'iova up to 2^64 does not wrap, but lies outside the aperture',
      { iova: U64 - bytes(10) },
      'EINVAL',
    ],
    ['vaddr up to 2^64 does not wrap, but nothing is there', { vaddr: U64 - bytes(10) }, 'EFAULT'],
    ['the last pages of the aperture', { iova: bytes(2 ** 36 - 10) }, 'ok'],
    ['a page beyond the aperture', { iova: bytes(2 ** 36 - 9) }, 'EINVAL'],
    ['up to the interrupt window', { iova: bytes(0xfee00 - 10) }, 'ok'],
    ['a page into it', { iova: bytes(0xfee00 - 9) }, 'EINVAL'],
    ['all over it', { iova: bytes(0xfee00 - 1), size: bytes(100), vaddr: bytes(VPN) }, 'EINVAL'],
    ['from its last page', { iova: bytes(0xfeeff) }, 'EINVAL'],
    ['behind it', { iova: bytes(0xfef00) }, 'ok'],
    ['iova 0', { iova: 0n }, 'ok'],
  ])('%s', (_, args, expected) => {
    const made = guest({ kernel });
    expect(outcome(made.container.tryMapDma(made.task, { ...GOOD, ...args }))).toBe(expected);
  });
});

describe('access', () => {
  test.each([
    [READ, IOMMU.READ],
    [WRITE, IOMMU.WRITE],
    [RW, IOMMU.READ | IOMMU.WRITE],
  ])('flags %i give a device access %i', (flags, prot) => {
    const made = guest();
    expect(outcome(made.map(1024, 1, VPN, flags))).toBe('ok');
    const leaf = [...made.iommu.domainList[0].domain.leaves()].find(
      ({ iovaPn }) => iovaPn === 1024,
    );
    expect(leaf?.prot).toBe(prot);
  });

  test.each([
    ['read-only memory', { read: true, write: false }, ['ok', 'EFAULT', 'EFAULT']],
    ['write-only memory', { read: false, write: true }, ['EFAULT', 'ok', 'ok']],
    ['inaccessible memory', { read: false, write: false }, ['EFAULT', 'EFAULT', 'EFAULT']],
  ])('to %s: READ, WRITE, both', (_, prot, expected) => {
    const made = new Guest().mmap({ npage: 3, prot });
    const got = [READ, WRITE, RW].map((flags, i) => outcome(made.map(i * 8, 3, VPN, flags)));
    expect(got).toEqual(expected);
  });

  test('defaults to both', () => {
    const made = guest();
    made.container.mapDma(made.task, { iova: bytes(1024), vaddr: bytes(VPN), size: bytes(1) });
    expect([...made.iommu.dmaList].map(({ prot }) => prot)).toEqual([3, 3]);
  });
});

describe('the entry limit', () => {
  test('counts mappings, and gives an entry back with each', () => {
    const made = new Guest({ params: { dmaEntryLimit: 2 } }).mmap({ npage: 10 });
    expect([made.map(0, 1), made.map(1, 1), made.map(2, 1)].map(outcome)).toEqual([
      'ok',
      'ok',
      'ENOSPC',
    ]);
    expect(made.iommu.dmaAvail).toBe(0);
    made.unmap(0, 1);
    expect(made.iommu.dmaAvail).toBe(1);
    expect(outcome(made.map(2, 1))).toBe('ok');
  });

  test('is 65,535 by default; a failed map uses none of it', () => {
    const made = new Guest().mmap({ npage: 10 });
    made.map(0, 11);
    expect(made.iommu.dmaAvail).toBe(65_535);
  });

  test('of 0 allows nothing', () => {
    expect(outcome(new Guest({ params: { dmaEntryLimit: 0 } }).mmap({ npage: 1 }).map(0, 1))).toBe(
      'ENOSPC',
    );
  });
});

describe('overlap', () => {
  test.each([
    ['the same range', 256, 10, 'EEXIST'],
    ['its last page', 265, 1, 'EEXIST'],
    ['a range around it', 250, 30, 'EEXIST'],
    ['the page before', 255, 1, 'ok'],
    ['the page behind', 266, 1, 'ok'],
  ])('%s', (_, iovaPn, npage, expected) => {
    expect(outcome(guest().map(iovaPn, npage))).toBe(expected);
  });
});

describe('a new vaddr for a mapping (VADDR)', () => {
  function invalidated(): Guest {
    const made = guest();
    expect(outcome(made.unmap(256, 10, VFIO_DMA_UNMAP_FLAG_VADDR))).toBe('ok');
    return made;
  }

  test('pins nothing and makes the mapping valid again', () => {
    const made = invalidated();
    const counts = made.counted(() =>
      expect(outcome(made.map(256, 10, VPN + 50, VADDR))).toBe('ok'),
    );
    expect(counts).toMatchObject({ gupCalls: 0, accountingUpdates: 0, iommuMapCalls: 0 });
    const [dma] = made.iommu.dmaList;
    expect([dma.vaddr, dma.vaddrInvalid, made.iommu.vaddrInvalidCount]).toEqual([
      VPN + 50,
      false,
      0,
    ]);
    expect(made.leaves()[0]).toEqual([256, PFN, 0]);
  });

  test('does not look at the memory', () => {
    expect(outcome(invalidated().map(256, 10, 2 ** 40, VADDR))).toBe('ok');
  });

  test.each([
    ['another start', 257, 9],
    ['another size', 256, 9],
    ['a larger range', 255, 12],
  ])('needs the very range: %s', (_, iovaPn, npage) => {
    const made = invalidated();
    const before = made.state();
    expect(outcome(made.map(iovaPn, npage, VPN, VADDR))).toBe('EINVAL');
    expect(made.state()).toBe(before);
  });

  test('needs an invalid mapping', () => {
    const made = invalidated();
    made.map(256, 10, VPN, VADDR);
    expect(outcome(made.map(256, 10, VPN, VADDR))).toBe('EINVAL');
  });

  test('from another process moves the charge to it, under its limit', () => {
    const made = invalidated();
    const other = new Task(new MmStruct(made.memory), 9 * 4096);
    expect(made.map(256, 10, VPN, VADDR, other)).toMatchObject({ at: 'vfio_change_dma_owner' });
    expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([10, 0]);
    other.rlimitMemlock = 10 * 4096;
    expect(outcome(made.map(256, 10, VPN, VADDR, other))).toBe('ok');
    expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([0, 10]);
    made.unmap(256, 10);
    expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([0, 0]);
    expect([...made.memory.warnings]).toEqual([]);
  });

  test('over the limit of the other process the mapping stays invalid, with its old owner', () => {
    for (const kernel of kernels) {
      const made = guest({ kernel });
      made.unmap(256, 10, VFIO_DMA_UNMAP_FLAG_VADDR);
      const before = made.state();
      const other = new Task(new MmStruct(made.memory), 15 * 4096);
      other.mm.lockedVm = 6;
      expect(made.map(256, 10, VPN + 7, VADDR, other)).toEqual({
        ...{ ret: minus('ENOMEM'), at: 'vfio_change_dma_owner' },
        detail: { lockedVmPages: 10, chargedPages: 6, limitPages: 15 },
      });
      expect(made.state()).toBe(before);
      expect([other.mm.lockedVm, made.iommu.vaddrInvalidCount]).toEqual([6, 1]);
      expect(made.iommu.dmaList.first()?.task).toBe(made.task);
    }
  });

  test('mapping by mapping: each is charged on its own, and to whom it belongs', () => {
    for (const kernel of kernels) {
      const made = guest({ kernel });
      expect(outcome(made.map(512, 20, VPN + 10))).toBe('ok');
      made.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR);
      const other = new Task(new MmStruct(made.memory), 29 * 4096);
      expect(outcome(made.map(512, 20, VPN, VADDR, other))).toBe('ok');
      expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([10, 20]);
      expect(outcome(made.map(256, 10, VPN, VADDR, other))).toBe('ENOMEM');
      expect(outcome(made.map(256, 10, VPN, VADDR))).toBe('ok');
      expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([10, 20]);
      expect(made.iommu.vaddrInvalidCount).toBe(0);
      made.container.close();
      expect([made.mm.lockedVm, other.mm.lockedVm, made.memory.vmstat.pinsHeld]).toEqual([0, 0, 0]);
      expect([...made.memory.warnings]).toEqual([]);
    }
  });

  test('the capability is that of the process that takes it over', () => {
    const made = invalidated();
    const root = new Task(new MmStruct(made.memory), 0, true);
    expect(outcome(made.map(256, 10, VPN, VADDR, root))).toBe('ok');
    root.capIpcLock = false;
    expect(made.iommu.dmaList.first()).toMatchObject({ task: root, mm: root.mm, lockCap: true });
    made.unmap(256, 10, VFIO_DMA_UNMAP_FLAG_VADDR);
    expect(outcome(made.map(256, 10, VPN, VADDR))).toBe('ok');
    expect([made.mm.lockedVm, root.mm.lockedVm]).toEqual([10, 0]);
    expect(made.iommu.dmaList.first()?.lockCap).toBe(false);
  });

  test('a thread of the owner changes nothing but the vaddr, whatever its limit', () => {
    const made = invalidated();
    const thread = new Task(made.mm, 0);
    expect(outcome(made.map(256, 10, VPN + 50, VADDR, thread))).toBe('ok');
    expect(made.mm.lockedVm).toBe(10);
    expect(made.iommu.dmaList.first()).toMatchObject({ task: made.task, vaddr: VPN + 50 });
  });

  test('from an owner that has gone: the new one is charged, and nobody is uncharged', () => {
    const made = invalidated();
    made.mm.mmUsers = 0;
    const other = new Task(new MmStruct(made.memory));
    expect(outcome(made.map(256, 10, VPN, VADDR, other))).toBe('ok');
    expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([10, 10]);
    expect(made.unmap(256, 10)).toMatchObject({ ret: 0 });
    expect([made.mm.lockedVm, other.mm.lockedVm]).toEqual([10, 0]);
  });

  test('is not refused because dirty pages are logged, and keeps what was', () => {
    const made = guest();
    made.container.dirtyPages({ flags: 1 });
    const bitmap = made.iommu.dmaList.first()?.bitmap;
    made.unmap(256, 10, VFIO_DMA_UNMAP_FLAG_VADDR);
    const other = new Task(new MmStruct(made.memory));
    expect(outcome(made.map(256, 10, VPN, VADDR, other))).toBe('ok');
    expect(bitmap).toBeTruthy();
    expect(made.iommu.dmaList.first()?.bitmap).toBe(bitmap);
  });
});

describe('RLIMIT_MEMLOCK', () => {
  test.each<[string, number, boolean, string]>([
    ['exactly enough', 100, false, 'ok'],
    ['one page short', 99, false, 'ENOMEM'],
    ['nothing allowed', 0, false, 'ENOMEM'],
    ['nothing allowed, but CAP_IPC_LOCK', 0, true, 'ok'],
  ])('%s', (_, memlockPages, capIpcLock, expected) => {
    for (const kernel of kernels) {
      const made = new Guest({ kernel, memlockPages, capIpcLock }).mmap({ npage: 100 });
      expect(outcome(made.map(0, 100))).toBe(expected);
      expect(made.mm.lockedVm).toBe(expected === 'ok' ? 100 : 0);
      expect(made.memory.vmstat.pinsHeld).toBe(expected === 'ok' ? 100 : 0);
    }
  });

  test('counts all mappings of the process, the same page twice', () => {
    const made = new Guest({ memlockPages: 150 }).mmap({ npage: 100 });
    expect([made.map(0, 100), made.map(256, 51), made.map(256, 50)].map(outcome)).toEqual([
      'ok',
      'ENOMEM',
      'ok',
    ]);
    expect(made.mm.lockedVm).toBe(150);
  });

  test.each(kernels)(
    '$name: hit half way, over several chunks and batches, it leaves nothing behind',
    (kernel) => {
      const pfns = Array.from({ length: 1500 }, (_, i) => PFN + (i < 700 ? i ^ 1 : 5000 + i));
      const made = new Guest({ kernel, memlockPages: 1234 }).mmapFrames(VPN, pfns);
      const before = made.state();
      expect(outcome(made.map(0, 1500))).toBe('ENOMEM');
      expect(made.state()).toBe(before);
      expect(outcome(made.map(0, 1234))).toBe('ok');
    },
  );

  test('is sampled when the mapping begins, with CAP_IPC_LOCK', () => {
    const made = new Guest({ memlockPages: 0, capIpcLock: true }).mmap({ npage: 10 });
    made.map(0, 5);
    made.task.capIpcLock = false;
    expect(outcome(made.map(8, 1))).toBe('ENOMEM');
    expect(outcome(made.unmap(0, 5))).toBe('ok');
    expect(made.mm.lockedVm).toBe(0);
  });

  test.each(kernels)('$name: lowered below what is locked, it allows nothing more', (kernel) => {
    const made = new Guest({ kernel, memlockPages: 100 }).mmap({ npage: 20 });
    made.map(0, 10);
    made.task.rlimitMemlock = 5 * 4096;
    expect(outcome(made.map(32, 1))).toBe('ENOMEM');
    expect(made.mm.lockedVm).toBe(10);
  });

  // 2^32 pages are 16 TiB: the room below the limit does not fit 32 bits.
  test.each(kernels)('$name: with 16 TiB locked already', (kernel) => {
    const made = new Guest({ kernel, memlockPages: 2 ** 33 }).mmap({ npage: 100 });
    made.mm.lockedVm = 2 ** 32 + 7;
    expect(outcome(made.map(0, 100))).toBe('ok');
    expect(made.mm.lockedVm).toBe(2 ** 32 + 107);
    made.task.rlimitMemlock = 10 * 4096;
    made.mm.lockedVm = 2 ** 32 + 5;
    const counts = made.counted(() => expect(outcome(made.map(256, 3))).toBe('ENOMEM'));
    expect(counts).toMatchObject({ limitTests: 1, accountingUpdates: 0 });
  });
});

describe('page numbers of any size', () => {
  test.each(kernels)(
    '$name: 2^32 pages are 16 TiB, and 57 address bits reach to 2^45',
    (kernel) => {
      const pfn = 2 ** 36 - 512;
      const vpn = 2 ** 35 + 2 ** 32;
      const iovaPn = 2 ** 45 - 2 ** 20;
      const made = new Guest({
        kernel,
        ranges: [{ pfn: 2 ** 36 - SECTION, npage: 2 * SECTION }],
        unit: {
          kind: 'intel-vtd',
          addressWidth: 57,
          superpageOrders: [9, 18],
          snoopControl: false,
          resvRegions: [],
        },
      }).mmap({ vpn, pfn, npage: 1024, order: 9 });
      expect(outcome(made.map(iovaPn, 1024, vpn))).toBe('ok');
      expect(made.leaves()).toEqual([
        [iovaPn, pfn, 9],
        [iovaPn + 512, pfn + 512, 9],
      ]);
      expect(made.unmap(iovaPn, 1024)).toMatchObject({ ret: 0, size: bytes(1024) });
      expect([made.memory.vmstat.pinsHeld, made.mm.lockedVm]).toEqual([0, 0]);
    },
  );
});
