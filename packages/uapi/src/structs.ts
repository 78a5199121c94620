/**
 * The structures of vfio.h and iommufd.h as data: each is the list of its fields in order, `name:kind`
 * with a space between. A field lies at the next multiple of its own size, as on every 64-bit Linux;
 * that alone gives all offsets. Arrays of no fixed length, which follow a structure, are not part of it.
 * A pointer is a `u64`.
 *
 * @source include/uapi/linux/vfio.h and include/uapi/linux/iommufd.h, 7.3
 */

/** Kinds of fields: unsigned and signed numbers by their bits. */
export type FieldKind = 'u8' | 'u16' | 'u32' | 's32' | 'u64';

/** The fields of each structure, in order. */
export const STRUCT_FIELDS = {
  // Groups and devices of VFIO.
  vfio_group_status: 'argsz:u32 flags:u32',
  vfio_device_info: 'argsz:u32 flags:u32 num_regions:u32 num_irqs:u32 cap_offset:u32 pad:u32',
  vfio_region_info: 'argsz:u32 flags:u32 index:u32 cap_offset:u32 size:u64 offset:u64',
  vfio_region_sparse_mmap_area: 'offset:u64 size:u64',
  vfio_irq_info: 'argsz:u32 flags:u32 index:u32 count:u32',
  vfio_irq_set: 'argsz:u32 flags:u32 index:u32 start:u32 count:u32',
  vfio_pci_dependent_device: 'group_id:u32 segment:u16 bus:u8 devfn:u8',
  vfio_pci_hot_reset_info: 'argsz:u32 flags:u32 count:u32',
  vfio_pci_hot_reset: 'argsz:u32 flags:u32 count:u32',
  vfio_device_gfx_plane_info:
    'argsz:u32 flags:u32 drm_plane_type:u32 drm_format:u32 drm_format_mod:u64 width:u32 height:u32 stride:u32 size:u32 x_pos:u32 y_pos:u32 x_hot:u32 y_hot:u32 region_index:u32 reserved:u32',
  vfio_device_ioeventfd: 'argsz:u32 flags:u32 offset:u64 data:u64 fd:s32 reserved:u32',
  vfio_device_feature: 'argsz:u32 flags:u32',
  vfio_device_bind_iommufd: 'argsz:u32 flags:u32 iommufd:s32 out_devid:u32 token_uuid_ptr:u64',
  vfio_device_attach_iommufd_pt: 'argsz:u32 flags:u32 pt_id:u32 pasid:u32',
  vfio_device_detach_iommufd_pt: 'argsz:u32 flags:u32 pasid:u32',

  // The type1 container.
  vfio_info_cap_header: 'id:u16 version:u16 next:u32',
  vfio_iommu_type1_info: 'argsz:u32 flags:u32 iova_pgsizes:u64 cap_offset:u32 pad:u32',
  vfio_iommu_type1_info_cap_iova_range: 'id:u16 version:u16 next:u32 nr_iovas:u32 reserved:u32',
  vfio_iova_range: 'start:u64 end:u64',
  vfio_iommu_type1_info_cap_migration:
    'id:u16 version:u16 next:u32 flags:u32 pgsize_bitmap:u64 max_dirty_bitmap_size:u64',
  vfio_iommu_type1_info_dma_avail: 'id:u16 version:u16 next:u32 avail:u32',
  vfio_iommu_type1_dma_map: 'argsz:u32 flags:u32 vaddr:u64 iova:u64 size:u64',
  vfio_bitmap: 'pgsize:u64 size:u64 data:u64',
  vfio_iommu_type1_dma_unmap: 'argsz:u32 flags:u32 iova:u64 size:u64',
  vfio_iommu_type1_dirty_bitmap: 'argsz:u32 flags:u32',
  vfio_iommu_type1_dirty_bitmap_get: 'iova:u64 size:u64 pgsize:u64 bitmap_size:u64 bitmap_data:u64',

  // iommufd.
  iommu_destroy: 'size:u32 id:u32',
  iommu_ioas_alloc: 'size:u32 flags:u32 out_ioas_id:u32',
  iommu_iova_range: 'start:u64 last:u64',
  iommu_ioas_iova_ranges:
    'size:u32 ioas_id:u32 num_iovas:u32 __reserved:u32 allowed_iovas:u64 out_iova_alignment:u64',
  iommu_ioas_allow_iovas: 'size:u32 ioas_id:u32 num_iovas:u32 __reserved:u32 allowed_iovas:u64',
  iommu_ioas_map: 'size:u32 flags:u32 ioas_id:u32 __reserved:u32 user_va:u64 length:u64 iova:u64',
  iommu_ioas_map_file: 'size:u32 flags:u32 ioas_id:u32 fd:s32 start:u64 length:u64 iova:u64',
  iommu_ioas_copy:
    'size:u32 flags:u32 dst_ioas_id:u32 src_ioas_id:u32 length:u64 dst_iova:u64 src_iova:u64',
  iommu_ioas_unmap: 'size:u32 ioas_id:u32 iova:u64 length:u64',
  iommu_option: 'size:u32 option_id:u32 op:u16 __reserved:u16 object_id:u32 val64:u64',
  iommu_vfio_ioas: 'size:u32 ioas_id:u32 op:u16 __reserved:u16',
  iommu_hwpt_alloc:
    'size:u32 flags:u32 dev_id:u32 pt_id:u32 out_hwpt_id:u32 __reserved:u32 data_type:u32 data_len:u32 data_uptr:u64 fault_id:u32 __reserved2:u32',
  iommu_hw_info:
    'size:u32 flags:u32 dev_id:u32 data_len:u32 data_uptr:u64 out_data_type:u32 out_max_pasid_log2:u8 __reserved0:u8 __reserved1:u8 __reserved2:u8 out_capabilities:u64',
  iommu_hwpt_set_dirty_tracking: 'size:u32 flags:u32 hwpt_id:u32 __reserved:u32',
  iommu_hwpt_get_dirty_bitmap:
    'size:u32 hwpt_id:u32 flags:u32 __reserved:u32 iova:u64 length:u64 page_size:u64 data:u64',
  iommu_hwpt_invalidate:
    'size:u32 hwpt_id:u32 data_uptr:u64 data_type:u32 entry_len:u32 entry_num:u32 __reserved:u32',
  iommu_fault_alloc: 'size:u32 flags:u32 out_fault_id:u32 out_fault_fd:u32',
  iommu_viommu_alloc:
    'size:u32 flags:u32 type:u32 dev_id:u32 hwpt_id:u32 out_viommu_id:u32 data_len:u32 __reserved:u32 data_uptr:u64',
  iommu_vdevice_alloc: 'size:u32 viommu_id:u32 dev_id:u32 out_vdevice_id:u32 virt_id:u64',
  iommu_ioas_change_process: 'size:u32 __reserved:u32',
  iommu_veventq_alloc:
    'size:u32 flags:u32 viommu_id:u32 type:u32 veventq_depth:u32 out_veventq_id:u32 out_veventq_fd:u32 __reserved:u32',
  iommu_hw_queue_alloc:
    'size:u32 flags:u32 viommu_id:u32 type:u32 index:u32 out_hw_queue_id:u32 nesting_parent_iova:u64 length:u64',
} as const;

/** Name of a structure, as the headers spell it. */
export type StructName = keyof typeof STRUCT_FIELDS;
