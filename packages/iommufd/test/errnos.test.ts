import { Errno, errnoName } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot, GIB, map, VA, type Machine } from './machine.ts';

const PAGE = 4096n;

function bootPages(options?: Parameters<typeof boot>[1]): Machine {
  return boot([{ pfn: 0x100000, npage: 512, order: 0 }], options);
}

/** Reference iommufd.md §15, column "native", in its order, with the check that gives the errno. */
describe('the errnos of IOAS_MAP', () => {
  test.each<[string, (machine: Machine) => { ret: number }, number, string]>([
    [
      'unknown flag',
      (m) => map(m, GIB, PAGE, { flags: 8 }),
      Errno.EOPNOTSUPP,
      'iommufd_ioas_map: known flags and zero reserved fields',
    ],
    [
      'no R/W',
      (m) => map(m, GIB, PAGE, { flags: 1 }),
      Errno.EINVAL,
      'iommufd_ioas_map: readable or writeable',
    ],
    ['size 0', (m) => map(m, GIB, 0n), Errno.EINVAL, 'iopt_alloc_pages: the length is not 0'],
    [
      'wrap',
      (m) => map(m, 2n ** 64n - 2n * PAGE, 4n * PAGE),
      Errno.EOVERFLOW,
      'iopt_check_iova: the range does not wrap',
    ],
    [
      'misaligned',
      (m) => map(m, GIB + 1n, PAGE),
      Errno.EINVAL,
      'iopt_check_iova: the address is aligned',
    ],
    [
      'overlap',
      (m) => {
        map(m, GIB, 2n * PAGE);
        return map(m, GIB + PAGE, PAGE);
      },
      Errno.EEXIST,
      'iopt_check_iova: no mapping is there',
    ],
    [
      'reserved',
      (m) => map(m, 0xfee0_0000n, PAGE),
      Errno.EINVAL,
      'iopt_check_iova: no reserved range',
    ],
    [
      'outside the aperture',
      (m) => map(m, 2n ** 48n, PAGE),
      Errno.EINVAL,
      'iopt_check_iova: no reserved range',
    ],
    [
      'bad VA',
      (m) => map(m, GIB, PAGE, { userVa: VA + 4n * GIB }),
      Errno.EFAULT,
      'pfn_reader_user_pin: the pages can be pinned',
    ],
    [
      'no such IOAS',
      (m) => map(m, GIB, PAGE, { ioasId: 99 }),
      Errno.ENOENT,
      'iommufd_get_object: the id names such an object',
    ],
  ])('%s', (_, call, errno, check) => {
    const machine = bootPages();
    const { ret } = call(machine);
    expect(errnoName(ret)).toBe(errnoName(errno));
    expect(machine.iommufd.refusal).toMatchObject({ check, errno });
  });

  test('the limit: everything is pinned and mapped before, and nothing stays', () => {
    const machine = bootPages({ memlock: 4096 * 16 });
    const { memory, iommufd, mm } = machine;
    expect(map(machine, GIB, 17n * PAGE).ret).toBe(-Errno.ENOMEM);
    expect(iommufd.refusal?.check).toBe('pfn_reader_update_pinned: RLIMIT_MEMLOCK of the user');
    expect(memory.vmstat).toMatchObject({ nrFollPinAcquired: 17, nrFollPinReleased: 17 });
    expect(mm.pinnedVm).toBe(0);
    expect(map(machine, GIB, 16n * PAGE).ret).toBe(0);
  });

  test('a bad VA without a domain is found when one is attached', () => {
    const machine = bootPages({ attached: false });
    const { iommufd, device, ioas, task } = machine;
    expect(map(machine, GIB, PAGE, { userVa: VA + 4n * GIB }).ret).toBe(0);
    expect(iommufd.attach(task, device, ioas.id)).toBe(-Errno.EFAULT);
    expect(device.hwpt).toBeNull();
  });

  test('what is reserved and taken is reserved: it is tested before', () => {
    const machine = bootPages({ attached: false });
    map(machine, 0xfedf_f000n, 2n * PAGE);
    expect(machine.iommufd.attach(machine.task, machine.device, machine.ioas.id)).toBe(
      -Errno.EADDRINUSE,
    );
  });
});

describe('the errnos of IOAS_UNMAP', () => {
  test('a mapping that is cut, and nothing: ENOENT', () => {
    const { iommufd, ioas, ...rest } = bootPages();
    map({ iommufd, ioas, ...rest }, GIB, 4n * PAGE);
    expect(iommufd.ioasUnmap(ioas.id, GIB, 2n * PAGE).ret).toBe(-Errno.ENOENT);
    expect(iommufd.refusal?.check).toBe('iopt_unmap_iova_range: no mapping is cut');
    expect(iommufd.ioasUnmap(ioas.id, 2n * GIB, PAGE).ret).toBe(-Errno.ENOENT);
    expect(iommufd.refusal?.check).toBe('iopt_unmap_iova_range: something is mapped there');
  });

  test('a misaligned range that cuts nothing is accepted', () => {
    const machine = bootPages();
    map(machine, GIB, 4n * PAGE);
    const { iommufd, ioas } = machine;
    expect(iommufd.ioasUnmap(ioas.id, GIB - 1n, 4n * PAGE + 3n)).toEqual({
      ret: 0,
      length: 4n * PAGE,
    });
  });

  test('everything of an empty space: 0 bytes', () => {
    const { iommufd, ioas } = bootPages();
    expect(iommufd.ioasUnmap(ioas.id, 0n, 2n ** 64n - 1n)).toEqual({ ret: 0, length: 0n });
  });

  test('an access that does not let go: EDEADLOCK, and a warning', () => {
    const machine = bootPages();
    const { iommufd, ioas, memory, task } = machine;
    map(machine, GIB, PAGE);
    const access = iommufd.accessCreate({ needsPinPages: true }, ioas.id);
    if (typeof access === 'number') throw new Error(`access: ${access}`);
    access.pinPages(GIB, PAGE, memory.memmap.pageArray(1), 1, task);
    expect(iommufd.ioasUnmap(ioas.id, GIB, PAGE).ret).toBe(-Errno.EDEADLOCK);
    expect([...memory.warnings.keys()]).toEqual(['iopt_unmap_iova_range']);
  });
});
