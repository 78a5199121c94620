import { InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { decodeStruct, encodeStruct, structLayout } from './layout.ts';
import { STRUCT_FIELDS, type StructName } from './structs.ts';

/** Sizes as a C compiler gives them on x86-64, trailing arrays aside. */
const SIZES: Partial<Record<StructName, number>> = {
  vfio_group_status: 8,
  vfio_device_info: 24,
  vfio_region_info: 32,
  vfio_irq_info: 16,
  vfio_irq_set: 20,
  vfio_pci_dependent_device: 8,
  vfio_pci_hot_reset_info: 12,
  vfio_device_ioeventfd: 32,
  vfio_device_gfx_plane_info: 64,
  vfio_info_cap_header: 8,
  vfio_iommu_type1_info: 24,
  vfio_iommu_type1_info_cap_iova_range: 16,
  vfio_iommu_type1_info_cap_migration: 32,
  vfio_iommu_type1_info_dma_avail: 12,
  vfio_iommu_type1_dma_map: 32,
  vfio_iommu_type1_dma_unmap: 24,
  vfio_bitmap: 24,
  vfio_iommu_type1_dirty_bitmap: 8,
  vfio_iommu_type1_dirty_bitmap_get: 40,
  iommu_destroy: 8,
  iommu_ioas_alloc: 12,
  iommu_ioas_iova_ranges: 32,
  iommu_ioas_allow_iovas: 24,
  iommu_ioas_map: 40,
  iommu_ioas_map_file: 40,
  iommu_ioas_copy: 40,
  iommu_ioas_unmap: 24,
  iommu_option: 24,
  iommu_vfio_ioas: 12,
  iommu_hwpt_alloc: 48,
  iommu_hw_info: 40,
  iommu_hwpt_get_dirty_bitmap: 48,
};

describe('layout', () => {
  test.each(Object.entries(SIZES))('%s has %i bytes', (name, size) => {
    expect(structLayout(name).size).toBe(size);
  });

  test('a field begins at a multiple of its size', () => {
    for (const name of Object.keys(STRUCT_FIELDS)) {
      for (const { offset, size } of structLayout(name).fields) expect(offset % size).toBe(0);
    }
    const { fields } = structLayout('vfio_iommu_type1_info_cap_migration');
    expect(fields.map(({ offset }) => offset)).toEqual([0, 2, 4, 8, 16, 24]);
  });

  test('every structure comes back from its bytes', () => {
    for (const name of Object.keys(STRUCT_FIELDS) as StructName[]) {
      const values: Record<string, number | bigint> = {};
      for (const [index, { name: field, kind }] of structLayout(name).fields.entries()) {
        values[field] = kind === 'u64' ? 0xfedc_ba98_7654_3200n + BigInt(index) : 0x70 + index;
      }
      expect(decodeStruct(name, encodeStruct(name, values))).toEqual(values);
    }
  });

  test('argsz is the length of the structure unless it is given', () => {
    const map = decodeStruct(
      'vfio_iommu_type1_dma_map',
      encodeStruct('vfio_iommu_type1_dma_map', {}),
    );
    expect(map.argsz).toBe(32);
    const { size } = decodeStruct('vfio_iommu_type1_dma_unmap', new Uint8Array(24));
    expect(size).toBe(0n);
  });

  test('too few bytes are named', () => {
    expect(() => decodeStruct('vfio_iommu_type1_dma_map', new Uint8Array(20))).toThrow(
      'struct vfio_iommu_type1_dma_map: expected 32 bytes from byte 0 on, got 20 bytes',
    );
    expect(() => structLayout('vfio_dma')).toThrow(InputError);
  });

  test('bytes of a longer buffer, where they begin', () => {
    const bytes = new Uint8Array(64).subarray(8);
    bytes.set(encodeStruct('iommu_option', { op: 1, val64: 7n }), 4);
    expect(decodeStruct('iommu_option', bytes, 4)).toMatchObject({ size: 24, op: 1, val64: 7n });
  });
});
