import { describe, expect, test } from 'vitest';
import { flagText, numberOfName } from './flags.ts';
import { decodeInfo, encodeInfo, type InfoValues } from './info-caps.ts';
import { ioctlCommands, ioctlNamed, ioctlsOf } from './ioctls.ts';

describe('ioctls', () => {
  test('commands are those of the headers', () => {
    const command = (name: string): number | undefined => ioctlNamed(name)?.command;
    expect(command('VFIO_GET_API_VERSION')).toBe(0x3b64);
    expect(command('VFIO_IOMMU_MAP_DMA')).toBe(0x3b71);
    expect(command('VFIO_IOMMU_DIRTY_PAGES')).toBe(0x3b75);
    expect(command('IOMMU_IOAS_MAP')).toBe(0x3b85);
    expect(command('IOMMU_HW_QUEUE_ALLOC')).toBe(0x3b94);
    expect(command('VFIO_DMA_MAP')).toBeUndefined();
  });

  test('a command stands for one ioctl on a kind of file', () => {
    expect(ioctlsOf(0x3b71).map(({ name }) => name)).toEqual([
      'VFIO_DEVICE_PCI_HOT_RESET',
      'VFIO_IOMMU_MAP_DMA',
    ]);
    for (const { command, file, name } of ioctlCommands) {
      expect(ioctlsOf(command, file).map((one) => one.name)).toEqual([name]);
    }
  });

  test('flags have names', () => {
    expect(flagText('vfio_iommu_type1_dma_map', 3)).toBe(
      'VFIO_DMA_MAP_FLAG_READ|VFIO_DMA_MAP_FLAG_WRITE',
    );
    expect(flagText('vfio_iommu_type1_dma_unmap', 0x8000_0002)).toBe(
      'VFIO_DMA_UNMAP_FLAG_ALL|0x80000000',
    );
    expect(flagText('iommu_ioas_map', 0)).toBe('0');
    expect(numberOfName('IOMMU_IOAS_MAP_READABLE')).toBe(4);
    expect(numberOfName('VFIO_TYPE1v2_IOMMU')).toBe(3);
  });
});

describe('VFIO_IOMMU_GET_INFO', () => {
  const values: Omit<InfoValues, 'argsz'> = {
    flags: 3,
    pgsizes: 0x4020_1000n,
    caps: [
      { cap: 'migration', flags: 0, pgsizeBitmap: 0x1000n, maxDirtyBitmapSize: 0x1000_0000n },
      { cap: 'dma_avail', avail: 65_535 },
      { cap: 'iova_ranges', ranges: [{ start: 0n, end: 0xfedf_ffffn }] },
      { cap: 'unknown', id: 99, version: 2 },
    ],
  };

  test('the chain comes back from its bytes', () => {
    const bytes = encodeInfo(values);
    expect(decodeInfo(bytes)).toEqual({ ...values, argsz: bytes.length });
  });

  test('a buffer that is too small learns what is needed', () => {
    const { argsz, caps } = decodeInfo(encodeInfo(values, 24));
    expect(argsz).toBe(encodeInfo(values).length);
    expect(caps).toEqual([]);
  });

  test('a chain that goes round, or out of the buffer, is named', () => {
    const bytes = encodeInfo(values);
    const round = bytes.slice();
    new DataView(round.buffer).setUint32(24 + 4, 24, true);
    expect(() => decodeInfo(round)).toThrow('expected a chain with an end, got byte 24 again');
    expect(() => decodeInfo(bytes.subarray(0, bytes.length - 4))).toThrow('struct');
  });
});
