import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, outcome } from '../test/guest.ts';
import { VfioContainer } from './container.ts';
import { kernels, RUNS } from '../test/kernels.ts';

describe.each(kernels)('VFIO_IOMMU_GET_INFO, kernel $name', (kernel) => {
  test('page sizes and capabilities, in the order of the chain', () => {
    // The values are those of the recordings, of a 48-bit VT-d.
    const guest = new Guest({ kernel }).mmap({ npage: 16 });
    guest.map(0x40000, 16);
    expect(guest.container.getInfo(8192)).toEqual({
      argsz: 8192,
      flags: 3,
      iovaPgsizes: 0x40201000n,
      capOffset: 24,
      caps: [
        {
          id: 2,
          version: 1,
          name: 'migration',
          flags: 0,
          pgsizeBitmap: 0x1000n,
          maxDirtyBitmapSize: 0x10000000n,
        },
        { id: 3, version: 1, name: 'dma_avail', avail: 65_534 },
        {
          id: 1,
          version: 1,
          name: 'iova_ranges',
          ranges: [
            { start: 0n, end: 0xfedf_ffffn },
            { start: 0xfef0_0000n, end: 0xffff_ffff_ffffn },
          ],
        },
      ],
    });
  });

  test.each([
    // argsz, does the chain fit: 24 for the structure, 32 + 16 + 16 for the capabilities, 16 per range
    [16, false],
    [24, false],
    [119, false],
    [120, true],
    [121, true],
  ])('a structure of %i bytes', (argsz, fits) => {
    const info = new Guest({ kernel }).container.getInfo(argsz);
    expect(info).toMatchObject({ flags: 3, iovaPgsizes: 0x40201000n });
    expect([info.argsz, info.capOffset, info.caps.length]).toEqual(
      fits ? [argsz, 24, 3] : [120, 0, 0],
    );
  });

  test('every range needs 16 bytes more', () => {
    const { container } = new Guest({ kernel });
    const resvRegions = [{ type: 'reserved', start: 5, last: 5 } as const];
    container.addGroup({ name: 'second', unit: intelVtd(), resvRegions });
    expect(container.getInfo(16).argsz).toBe(136);
  });

  test.each([0, 15])('a structure of %i bytes is too small: EINVAL', (argsz) => {
    const { container } = new Guest({ kernel });
    const { ret, at, info } = container.tryGetInfo(argsz);
    expect([outcome({ ret }), at, info]).toEqual(['EINVAL', 'vfio_iommu_type1_get_info', null]);
    expect(() => container.getInfo(argsz)).toThrow(/VFIO_IOMMU_GET_INFO: EINVAL/);
  });
});

test('the page sizes are those that all domains have', () => {
  const only2m: IommuUnit = { ...intelVtd(), superpageOrders: [9] };
  const { container } = new Guest();
  const group = { name: 'second', unit: only2m };
  container.addGroup(group);
  expect(container.getInfo().iovaPgsizes).toBe(0x201000n);
  container.removeGroup(group);
  expect(container.getInfo().iovaPgsizes).toBe(0x40201000n);
});

test('before VFIO_SET_IOMMU there is none: EINVAL', () => {
  const { memory } = new Guest();
  const container = new VfioContainer({ kernel: RUNS, memory });
  expect(outcome(container.tryGetInfo())).toBe('EINVAL');
  expect(() => container.getInfo()).toThrow(/EINVAL at vfio_fops_unl_ioctl/);
});
