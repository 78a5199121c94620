import { errnoName, KernelError, type Page } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { bytes, minus, VPN } from '../test/guest.ts';
import { IOVA, Mdev, NPAGE, TestDevice, type MdevOptions } from '../test/mdev.ts';
import { NO_PAGE } from './pin-external.ts';
import { kernels } from '../test/kernels.ts';

const LAST = 2n ** 64n - 4096n;

/** An error's name, or what was returned. */
function named(ret: number): string | number {
  return ret < 0 ? errnoName(ret) : ret;
}

describe('the checks of vfio_pin_pages, in their order', () => {
  // Each case has the fault of its name and those of the cases after it that can be had together.
  test.each<[string, MdevOptions, number, boolean, bigint, string, string]>([
    // options, pages, NULL array, address
    ['no pages', { v2: false }, 0, false, LAST, 'EINVAL', 'vfio_pin_pages'],
    ['a NULL array', { v2: false }, 513, true, LAST, 'EINVAL', 'vfio_pin_pages'],
    ['too many', { v2: false }, 513, false, LAST, 'E2BIG', 'vfio_device_container_pin_pages'],
    ['negative', { v2: false }, -1, false, LAST, 'E2BIG', 'vfio_device_container_pin_pages'],
    ['type1 v1', { v2: false }, 2, false, LAST, 'EACCES', 'vfio_iommu_type1_pin_pages'],
    ['wraps', {}, 2, false, LAST, 'EOVERFLOW', 'vfio_iommu_type1_pin_pages'],
    ['not mapped', {}, 1, false, LAST, 'EINVAL', 'vfio_iommu_type1_pin_pages'],
  ])('%s', (_, options, npage, isNull, iova, errno, at) => {
    const made = new Mdev(options);
    const pages: Page[] = [];
    const array = isNull ? null : pages;
    expect(named(made.container.tryPinPages(made.device, iova, npage, 3, array))).toBe(errno);
    expect(made.iommu.failure?.at).toBe(at);
  });

  test.each(kernels)('$name: a range that wraps is EOVERFLOW since 6.18', (kernel) => {
    const errno = kernel.type1.externalRangeChecked ? 'EOVERFLOW' : 'EINVAL';
    const made = new Mdev({ kernel });
    expect(named(made.pinAt(LAST, 2))).toBe(errno);
    expect(named(made.pinAt(LAST + 1n, 1))).toBe(errno);
  });

  test('512 pages are not too many', () => {
    const made = new Mdev().mmap(VPN + 512, 512).map(IOVA, 512, VPN + 512);
    expect(made.pin(IOVA, 512)).toBe(512);
    expect(made.held).toEqual([512, 512]);
  });

  test('while a vaddr is invalid: EBUSY, and a warning', () => {
    const made = new Mdev().map();
    made.iommu.vaddrInvalidCount = 1;
    expect(named(made.pin(IOVA))).toBe('EBUSY');
    expect([...made.memory.warnings.keys()]).toEqual(['vfio_iommu_type1_pin_pages']);
  });

  test('a device that does not want to know of unmaps: EINVAL', () => {
    const made = new Mdev().map();
    const { group } = made.addDevice('second');
    const silent = { name: 'silent', group };
    made.container.openDevice(silent);
    expect(named(made.pin(IOVA, 1, 3, silent))).toBe('EINVAL');
    expect(made.iommu.failure).toEqual({ at: 'vfio_pin_pages', detail: { device: 'silent' } });
  });

  test('a device that is not open: EINVAL and two warnings, the first once', () => {
    const made = new Mdev().map();
    made.container.closeDevice(made.device);
    made.memory.log.take();
    expect([named(made.pin(IOVA)), named(made.pin(IOVA))]).toEqual(['EINVAL', 'EINVAL']);
    expect(made.memory.log.take().map(({ kind }) => kind)).toEqual(['warn-once', 'warn', 'warn']);
  });
});

describe('the page array', () => {
  test('holds the pointers', () => {
    const made = new Mdev().map();
    const pages = made.container.pinPages(made.device, bytes(IOVA + 1), 2, 3);
    const { memmap } = made.memory;
    expect(pages.map((page) => memmap.pageToPfn(page))).toEqual(
      [VPN + 1, VPN + 2].map((vpn) => made.mm.pageTable.pfnAt(vpn)),
    );
  });

  test('is NULL up to the page that failed, and untouched behind', () => {
    const made = new Mdev().map();
    const pages = [7, 7, 7, 7];
    const first = bytes(IOVA + NPAGE - 2);
    expect(named(made.container.tryPinPages(made.device, first, 4, 3, pages))).toBe('EINVAL');
    expect(pages).toEqual([NO_PAGE, NO_PAGE, NO_PAGE, 7]);
    expect([made.held, made.nodes]).toEqual([[0, 0], []]);
  });

  test('is untouched by the checks before', () => {
    const made = new Mdev({ v2: false });
    const pages = [7];
    made.container.tryPinPages(made.device, 0n, 1, 3, pages);
    expect(pages).toEqual([7]);
  });
});

test('the form before 5.19 takes an address per page, in one call', () => {
  const made = new Mdev().map();
  const iovas = [bytes(IOVA + 3), bytes(IOVA) + 16n, bytes(IOVA + 3)];
  expect(made.container.tryPinPageList(made.device, iovas, 3, [])).toBe(3);
  expect(made.nodes).toEqual([
    [IOVA, 16, 1],
    [IOVA + 3, 0, 2],
  ]);
  expect(made.memory.counters.snapshot()).toMatchObject({ externalPinCalls: 1, gupCalls: 2 });
  const gone = [bytes(IOVA + 4), bytes(IOVA + NPAGE)];
  expect(named(made.container.tryPinPageList(made.device, gone, 3, []))).toBe('EINVAL');
  expect(made.held).toEqual([2, 2]);
  expect(named(made.container.tryPinPageList(made.device, [], 3, []))).toBe('EINVAL');
});

test('a group behind an IOMMU that pins tells from then on what it dirties', () => {
  const made = new Mdev().map();
  made.container.addGroup(made.nic);
  const device = { name: 'mediated', group: made.nic, dmaUnmap: () => undefined };
  made.container.openDevice(device);
  expect(made.iommu.numNonPinnedGroups).toBe(1);
  expect(named(made.pin(IOVA + NPAGE, 1, 3, device))).toBe('EINVAL');
  expect(made.iommu.numNonPinnedGroups).toBe(1);
  expect(made.pin(IOVA, 1, 3, device)).toBe(1);
  expect(made.iommu.numNonPinnedGroups).toBe(0);
});

test('pinPages throws what tryPinPages returns', () => {
  const made = new Mdev().map(IOVA, NPAGE, VPN, 1);
  expect(() => made.container.pinPages(made.device, bytes(IOVA), 1, 3)).toThrow(
    new KernelError('vfio_pin_pages', minus('EPERM'), 'vfio_iommu_type1_pin_pages', {
      ...{ iova: bytes(IOVA), prot: 3, dmaProt: 1, dmaIovaPn: IOVA },
    }).message,
  );
});

describe('opening and closing', () => {
  test('a device of a group that is not in the container, or before VFIO_SET_IOMMU', () => {
    const { container, device } = new Mdev();
    const other = new TestDevice('other', []);
    expect(() => {
      container.openDevice(other);
    }).toThrow('EINVAL at vfio_df_group_open');
    container.close();
    container.addGroup(device.group);
    expect(() => {
      container.openDevice(device);
    }).toThrow('EINVAL at vfio_group_use_container');
  });

  test('a group with an open device cannot leave', () => {
    const { container, device } = new Mdev();
    const leave = (): void => {
      container.removeGroup(device.group);
    };
    expect(leave).toThrow('EBUSY at vfio_group_ioctl_unset_container');
    container.openDevice(device);
    container.closeDevice(device);
    expect(leave).toThrow('EBUSY');
    container.closeDevice(device);
    leave();
    expect(() => container.iommu).toThrow('EINVAL');
  });

  test('the device that was opened last is told first', () => {
    const made = new Mdev();
    const second = made.addDevice('second');
    expect(made.iommu.deviceList).toEqual([second, made.device]);
    made.container.closeDevice(second);
    made.container.closeDevice(second);
    expect(made.iommu.deviceList).toEqual([made.device]);
    made.container.close();
    expect(() => made.container.iommu).toThrow('EINVAL');
  });
});
