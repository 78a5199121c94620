/** Lines of each format, as their programs write them, and what is read of them. */
import { describe, expect, it } from 'vitest';
import { LogReader, type Log, type LoggedCall } from '../src/index.ts';

function read(...lines: string[]): Log {
  const reader = new LogReader();
  const file = reader.open('a.log');
  file.feed(lines.join('\n'));
  file.end();
  return reader.end();
}

/** A call without where it stands. */
function bodies({ calls }: Log): Partial<LoggedCall>[] {
  return calls.map((call) => {
    const { at, text, ...body } = call;
    expect(at.line).toBeGreaterThan(0);
    expect(text).not.toBe('');
    return body;
  });
}

const MAP = { op: 'map', backend: 'type1', flags: 3 };

describe('strace', () => {
  it('follows descriptors through open, dup and fork', () => {
    const { calls } = read(
      '[pid  10] openat(AT_FDCWD, "/dev/vfio/vfio", O_RDWR) = 17',
      '[pid  10] dup(17) = 20',
      '[pid  10] clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD) = 11',
      '[pid  10] close(17) = 0',
      '[pid  11] ioctl(20, VFIO_SET_IOMMU, 0x3) = 0',
      '[pid  10] close(20) = 0',
      '[pid  11] close(20) = 0',
      '[pid  11] close(17) = 0',
    );
    const [opened, , set, closed] = calls;
    expect(calls.map(({ op }) => op)).toEqual(['opencontainer', 'fork', 'setiommu', 'close']);
    expect(set.container).toBe(opened.container);
    expect([closed.container, closed.at.line]).toEqual([opened.container, 8]);
  });

  it('joins calls that other lines interrupt, and reads durations', () => {
    const log = read(
      '511 12:00:00.000001 ioctl(17, VFIO_IOMMU_MAP_DMA, {argsz=32, flags=0x3, vaddr=0x7f0000000000, iova=0, size=0x1000} <unfinished ...>',
      '512 12:00:00.000002 futex(0x7f00, FUTEX_WAKE, 1) = 0',
      '511 12:00:00.000003 <... ioctl resumed>) = -1 ENOMEM (Cannot allocate memory) <0.000250>',
    );
    expect(bodies(log)).toEqual([
      {
        ...MAP,
        ...{ iova: 0n, va: 0x7f0000000000n, size: 0x1000n, errno: 'ENOMEM', process: 511 },
        ...{ container: '511:17', seconds: 0.00025 },
      },
    ]);
  });

  it.each([
    'VFIO_IOMMU_MAP_DMA or VFIO_IOMMU_SPAPR_TCE_GET_INFO',
    '0x3b71',
    '0x3b71 /* VFIO_IOMMU_MAP_DMA */',
    '_IOC(_IOC_NONE, 0x3b, 0x71, 0)',
  ])('knows the ioctl %s', (command) => {
    const bytes =
      '" \\0\\0\\0\\3\\0\\0\\0\\x00\\x00\\x00\\x00\\x00\\x7f\\0\\0\\0\\20\\0\\0\\0\\0\\0\\0\\0\\0 \\0\\0\\0\\0\\0"';
    const [call] = read(`ioctl(0x11</dev/vfio/vfio>, ${command}, ${bytes}) = 0`).calls;
    expect(call).toMatchObject({ ...MAP, va: 0x7f0000000000n, iova: 0x1000n, size: 0x200000n });
  });

  it('says which calls come without their arguments', () => {
    const { missing, calls } = read('ioctl(17, VFIO_IOMMU_MAP_DMA, 0x7ffd1230) = 0');
    expect([...missing]).toEqual([['VFIO_IOMMU_MAP_DMA', 1]]);
    expect(calls).toEqual([]);
  });

  it.each([
    ['MAP_PRIVATE|MAP_ANONYMOUS, -1, 0', 'anon'],
    ['MAP_SHARED|MAP_ANONYMOUS|MAP_HUGETLB|30<<MAP_HUGE_SHIFT, -1, 0', 'huge1g'],
    ['MAP_SHARED, 5</dev/hugepages/rtemap_0>, 0', 'memfd2m'],
    ['MAP_SHARED, 6<anon_inode:[vfio-device]>, 0', 'bar'],
    ['MAP_SHARED, 7</memfd:ram (deleted)>, 0', 'memfd'],
    ['0x22, -1, 0', 'anon'],
  ])('sees what memory with %s is', (rest, kind) => {
    const [call] = read(
      `mmap(NULL, 2097152, PROT_READ|PROT_WRITE, ${rest}) = 0x7f0000200000`,
    ).calls;
    expect(call).toMatchObject({ op: 'mmap', kind, va: 0x7f0000200000n, size: 0x200000n });
  });

  it('names a line that is cut off', () => {
    const { malformed } = read(
      '511 ioctl(17, VFIO_IOMMU_MAP_DMA, {argsz=32, flags=0x3, vaddr=0x10',
    );
    expect(malformed).toEqual([
      { at: { file: 'a.log', line: 1 }, what: 'the call of ioctl has no end' },
    ]);
  });

  it('reads what a program writes', () => {
    const { messages } = read(
      '511 write(2, "EAL: Unexpected size 0 of DMA remapping cleared instead of 2097152\\n", 67) = 67',
    );
    expect(messages[0]).toMatchObject({
      about: 'unmap-size',
      values: { got: '0', wanted: '2097152' },
    });
  });
});

describe('QEMU', () => {
  it.each([
    'vfio_listener_region_add_ram region_add [ram] 0xc0000 - 0xdffff [0x7f3200000000]',
    '7001@1700000100.000220:vfio_listener_region_add_ram region_add [ram] 0xc0000 - 0xdffff [0x7f3200000000]',
    'vfio_listener_region_add_ram 12.345 pid=7001 iova_start=0xc0000 iova_end=0xdffff vaddr=0x7f3200000000',
  ])('%s', (line) => {
    expect(bodies(read(line))).toEqual([
      { ...MAP, iova: 0xc0000n, size: 0x20000n, va: 0x7f3200000000n, errno: null },
    ]);
  });

  it.each([
    [
      'Region dimm1:vfio_dma_map(0x55,0x100000000,0x1380000000,0x7f87b3ffe000)=-14(Bad address)',
      'EFAULT',
    ],
    [
      'vfio_legacy_dma_map(0x55, 0x100000000, 0x1380000000, 0x7f87b3ffe000) = -28 (No space)',
      'ENOSPC',
    ],
  ])('%s', (line, errno) => {
    expect(read(line).calls[0]).toMatchObject({
      ...{ ...MAP, iova: 0x100000000n, size: 0x1380000000n, va: 0x7f87b3ffe000n, errno },
    });
  });

  it('reads the dirty log', () => {
    const [call] = read(
      'vfio_get_dirty_bitmap container fd=5, iova=0x0 size= 0x200000 bitmap_size=0x40 start=0x0 dirty_pages=3',
    ).calls;
    expect(call).toMatchObject({
      op: 'dirty',
      what: 'get',
      iova: 0n,
      size: 0x200000n,
      bitmapSize: 64n,
    });
  });
});

describe('recipes', () => {
  it('bpftrace', () => {
    const log = read(
      '12.345678 4711 VFIO_SET_IOMMU fd=17 arg=1 ret=0 us=20',
      '12.345679 4711 VFIO_IOMMU_MAP_DMA fd=17 flags=0x3 vaddr=0x7f0000000000 iova=0x0 size=0x1000 ret=-12 us=33',
      '12.345680 4711 IOMMU_IOAS_MAP fd=9 flags=0x7 user_va=0x7f0000000000 length=0x1000 iova=0x0 ret=0 us=10',
    );
    expect(bodies(log)).toMatchObject([
      { op: 'setiommu', type: 1 },
      { ...MAP, iova: 0n, va: 0x7f0000000000n, size: 0x1000n, errno: 'ENOMEM', seconds: 33e-6 },
      { ...MAP, backend: 'iommufd', iova: 0n, va: 0x7f0000000000n, size: 0x1000n, errno: null },
    ]);
  });

  it('ftrace', () => {
    const log = read(
      ' qemu-system-x86-4711    [003] ..... 123.456789: pinfold_ioctl: (vfio_iommu_type1_ioctl+0x0/0x9b0) cmd=0x3b71 argsz=32 flags=0x3 w1=0x7f0000000000 w2=0x1000 w3=0x200000',
      ' qemu-system-x86-4711    [003] ..... 123.456989: pinfold_ret: (vfio_fops_unl_ioctl+0x5c/0x80 <- vfio_iommu_type1_ioctl) ret=-22',
    );
    const [call] = log.calls;
    expect(call).toMatchObject({ ...MAP, va: 0x7f0000000000n, iova: 0x1000n, errno: 'EINVAL' });
    expect(call.seconds).toBeCloseTo(0.0002);
  });

  it('perf trace', () => {
    const { missing, formats } = read(
      '     0.123 ( 0.045 ms): qemu-system-x8/4711 ioctl(fd: 17</dev/vfio/vfio>, cmd: (NONE, 0x3b, 0x71, 0), arg: 0x7ffd1230) = 0',
    );
    expect([...missing.keys(), ...formats.keys()]).toEqual(['VFIO_IOMMU_MAP_DMA', 'perf trace']);
  });
});

describe('others', () => {
  it.each([
    [
      'DMAR: dmar0: reg_base_addr fed90000 ver 4:0 cap 1c0000c40660462 ecap 29a00f0505e',
      { addressWidth: 39 },
    ],
    ['[1.0] DMAR: Host address width 46', { addressWidth: 46 }],
    ['VmLck:\t    2048 kB', { vmLck: 2 ** 21 }],
    [
      'Max locked memory         67108864             67108864             bytes',
      { memlock: 2 ** 26 },
    ],
    ['LimitMEMLOCK=infinity', { memlock: Infinity }],
    ["  <hard_limit unit='GiB'>9</hard_limit>", { memlock: 9 * 2 ** 30 }],
    ['Linux version 6.8.12-2-pve (build@x) #1', { kernel: '6.8.12-2-pve' }],
  ])('%s', (line, facts) => {
    expect(read(line).facts).toMatchObject(facts);
  });

  it('smaps', () => {
    const { facts } = read(
      '7f0000000000-7f0040000000 rw-s 00000000 00:0f 123  /dev/hugepages/rtemap_0',
      'Size:            1048576 kB',
      'KernelPageSize:     2048 kB',
    );
    expect(facts.memory).toEqual([{ va: 0x7f0000000000n, size: 0x40000000n, kind: 'memfd2m' }]);
  });

  it.each([
    ['VfioMapRegion(DmaMap(IommuDmaMap(Error(17))))', 'EEXIST', 'bar', 'type1'],
    [
      'Failed to map VFIO MMIO region: Failed to DMA map: failed to map an IOVA range to the IOAS: Bad address (os error 14)',
      ...['EFAULT', 'bar', 'iommufd'],
    ],
    [
      'ApiError(VmBoot(DeviceManager(VfioDmaMap(IommuDmaMap(Error(14))))))',
      'EFAULT',
      'ram',
      'type1',
    ],
  ])('%s', (line, errno, memory, backend) => {
    expect(read(line).messages[0]).toMatchObject({ errno, values: { memory, backend } });
  });

  it('SPDK tells region and refusal in two lines', () => {
    const { calls } = read(
      'rte_vhost_user.c: 763:vhost_session_mem_register: *INFO*: Registering VM memory for vtophys translation - 0x7fbf08000000 len:0xc0000000',
      'memory.c: 801:_vfio_iommu_map_dma: *NOTICE*: Cannot set up DMA mapping, error 17, ignored',
    );
    expect(calls).toMatchObject([
      { ...MAP, va: 0x7fbf08000000n, size: 0xc0000000n, errno: 'EEXIST' },
    ]);
  });

  it('JSON lines', () => {
    const log = read(
      '{"op":"map","iova":"0x0","va":"0x1000","size":"0x1000","errno":null,"us":41}',
    );
    expect(log.calls).toMatchObject([{ ...MAP, iova: 0n, va: 0x1000n, errno: null }]);
    expect(read('{"op":"map","iova":').malformed).toHaveLength(1);
  });
});
