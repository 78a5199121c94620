/**
 * The kernel functions whose calls a {@link Tracer} sees: their arguments in the order in which
 * hooks hand them over, the unit of each, and how recordings write it. The table below is the only
 * list of them.
 *
 * @source recordings README, "Recording format" (`trace`, `guest.probes`); recordings of 6.12.90,
 * 6.16.12, 6.18.15 and 7.2.12
 */

/**
 * How a value is handed over, and how it is written:
 *
 * - `address`: a page number, written as the hexadecimal address of its first byte;
 * - `byte`: a page number and, as the next value, an offset in bytes: the hexadecimal address of
 *   that byte;
 * - `bytes`: a number of pages, written as a hexadecimal number of bytes;
 * - `number`: a page frame, a number of pages or of other things, or a negative errno: decimal;
 * - `limit`: a number of pages or Infinity, which is RLIM_INFINITY, shifted as the kernel does;
 * - `flags`: hexadecimal;
 * - `wide`: the upper and, as the next value, the lower 32 bits of a number: hexadecimal;
 * - `extent`: how far a range reaches: 0 and, as the next value, its pages, written as `size`; or 1 and
 *   its last page, written as `last`. An argument that has changed its meaning.
 */
export type TracedUnit =
  'address' | 'byte' | 'bytes' | 'number' | 'limit' | 'flags' | 'wide' | 'extent';

/** What is traced of a function. */
export interface TracedSignature {
  /** Its traced arguments and their units, in the order in which they are handed over. */
  readonly args: Readonly<Record<string, TracedUnit>>;
  /** Unit of what it returns; null if nothing is traced of it. */
  readonly ret: TracedUnit | null;
  /** Of calls that many compilers inline, so that few kernels show them: the function called. */
  readonly inlined?: string;
}

const SIGNATURES = {
  vfio_pin_pages_remote: {
    args: { vaddr: 'address', npage: 'number', limit: 'limit' },
    ret: 'number',
  },
  vaddr_get_pfns: { args: { vaddr: 'byte', npages: 'number' }, ret: 'number' },
  pin_user_pages_remote: {
    args: { start: 'byte', npages: 'number', gup_flags: 'flags' },
    ret: 'number',
  },
  __gup_longterm_locked: { args: { start: 'byte', npages: 'number' }, ret: 'number' },
  follow_pfnmap_start: { args: { addr: 'byte' }, ret: 'number' },
  follow_pte: { args: { addr: 'byte' }, ret: 'number' },
  fixup_user_fault: { args: { va: 'byte', fl: 'flags' }, ret: 'number' },
  is_invalid_reserved_pfn: { args: { pfn: 'number' }, ret: 'number' },
  'is_invalid_reserved_pfn (inlined)': {
    args: { pfn: 'number' },
    ret: 'number',
    inlined: 'is_invalid_reserved_pfn',
  },
  vfio_lock_acct: { args: { npage: 'number', async: 'number' }, ret: 'number' },
  mm_lock_acct: { args: { npage: 'number' }, ret: 'number' },
  __account_locked_vm: { args: { pages: 'number', inc: 'number' }, ret: 'number' },
  iommu_map: { args: { iova: 'address', paddr: 'address', size: 'bytes' }, ret: 'number' },
  iommu_map_nosync: { args: { iova: 'address', paddr: 'address', size: 'bytes' }, ret: 'number' },
  intel_iommu_map_pages: {
    args: { iova: 'address', paddr: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'number',
  },
  intel_iommu_map: { args: { iova: 'address', paddr: 'address', size: 'bytes' }, ret: 'number' },
  amd_iommu_map_pages: {
    args: { iova: 'address', paddr: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'number',
  },
  amdv1_map_range: { args: { iova: 'address', paddr: 'address', len: 'bytes' }, ret: 'number' },
  amd_iommu_iotlb_sync_map: { args: { iova: 'address', size: 'bytes' }, ret: null },
  arm_smmu_map_pages: {
    args: { iova: 'address', paddr: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'number',
  },
  arm_lpae_map_pages: {
    args: { iova: 'address', paddr: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'number',
  },
  __arm_lpae_map: { args: {}, ret: null },
  __arm_lpae_alloc_pages: { args: {}, ret: null },
  iommu_alloc_pages_node_sz: { args: { size: 'bytes' }, ret: null },
  iommu_free_pages: { args: {}, ret: null },
  iommu_put_pages_list: { args: {}, ret: null },
  vfio_remove_dma: { args: { iova: 'address', size: 'bytes' }, ret: null },
  vfio_unmap_unpin: { args: { acct: 'number' }, ret: null },
  iommu_iova_to_phys: { args: { iova: 'address' }, ret: 'address' },
  iommu_unmap: { args: { iova: 'address', size: 'bytes' }, ret: 'bytes' },
  iommu_unmap_fast: { args: { iova: 'address', size: 'bytes' }, ret: 'bytes' },
  intel_iommu_unmap_pages: {
    args: { iova: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'bytes',
  },
  intel_iommu_unmap: { args: { iova: 'address', size: 'bytes' }, ret: 'bytes' },
  amd_iommu_unmap_pages: {
    args: { iova: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'bytes',
  },
  amdv1_unmap_range: { args: { iova: 'address', len: 'bytes' }, ret: 'bytes' },
  arm_smmu_unmap_pages: {
    args: { iova: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'bytes',
  },
  arm_lpae_unmap_pages: {
    args: { iova: 'address', pgsize: 'bytes', pgcount: 'number' },
    ret: 'bytes',
  },
  __arm_lpae_unmap: { args: {}, ret: null },
  __arm_lpae_free_pgtable: { args: { lvl: 'number' }, ret: null },
  __arm_lpae_free_pages: { args: {}, ret: null },
  vfio_sync_unpin: { args: { regions: 'number' }, ret: 'number' },
  intel_iommu_tlb_sync: { args: {}, ret: null },
  cache_tag_flush_range: { args: { start: 'address', end: 'byte' }, ret: null },
  amd_iommu_iotlb_sync: {
    args: { start: 'address', end: 'byte', pgsize: 'bytes' },
    ret: null,
  },
  amd_iommu_domain_flush_pages: { args: { address: 'address', size: 'extent' }, ret: null },
  __domain_flush_pages: { args: { address: 'address', size: 'extent' }, ret: null },
  build_inv_iommu_pages: {
    args: { address: 'address', size: 'extent', domid: 'number' },
    ret: null,
  },
  domain_flush_complete: { args: {}, ret: null },
  __iommu_queue_command_sync: {
    args: { w0: 'flags', w1: 'flags', w2: 'flags', w3: 'flags' },
    ret: null,
  },
  iommu_flush_dte: { args: { devid: 'flags' }, ret: null },
  amd_iommu_update_and_flush_device_table: { args: {}, ret: null },
  amd_iommu_change_top: { args: {}, ret: null },
  amd_iommu_attach_device: { args: {}, ret: null },
  arm_smmu_tlb_inv_walk: {
    args: { iova: 'address', size: 'bytes', granule: 'bytes' },
    ret: null,
  },
  arm_smmu_tlb_inv_page_nosync: { args: { iova: 'address', granule: 'bytes' }, ret: null },
  arm_smmu_iotlb_sync: { args: { start: 'address', end: 'byte', pgsize: 'bytes' }, ret: null },
  arm_smmu_tlb_inv_range_domain: {
    args: { iova: 'address', size: 'bytes', granule: 'bytes', leaf: 'number' },
    ret: null,
  },
  arm_smmu_domain_inv_range: {
    args: { iova: 'address', size: 'bytes', granule: 'number', leaf: 'number' },
    ret: null,
  },
  __arm_smmu_tlb_inv_range: {
    args: { iova: 'address', size: 'bytes', granule: 'bytes' },
    ret: null,
  },
  arm_smmu_cmdq_batch_add: { args: {}, ret: null },
  arm_smmu_cmdq_issue_cmdlist: {
    args: { cmd0: 'wide', cmd1: 'byte', n: 'number', sync: 'number' },
    ret: null,
  },
  arm_smmu_atc_inv_domain: { args: {}, ret: null },
  arm_smmu_tlb_inv_context: { args: {}, ret: null },
  arm_smmu_attach_dev: { args: {}, ret: null },
  vfio_unpin_pages_remote: {
    args: { iova: 'address', pfn: 'number', npage: 'number' },
    ret: 'number',
  },
  put_pfn: { args: { pfn: 'number' }, ret: null },
  unpin_user_page: { args: {}, ret: null },
  unpin_user_pages_dirty_lock: { args: { npages: 'number' }, ret: null },
  unpin_user_page_range_dirty_lock: { args: { npages: 'number' }, ret: null },
  unpin_user_pages: { args: { npages: 'number' }, ret: null },
  vfio_iommu_type1_attach_group: { args: { type: 'number' }, ret: 'number' },
  vfio_iommu_type1_detach_group: { args: {}, ret: null },
  vfio_iommu_type1_register_device: { args: {}, ret: null },
  vfio_iommu_type1_unregister_device: { args: {}, ret: null },
  vfio_iommu_type1_release: { args: {}, ret: null },
  vfio_pin_pages: { args: { iova: 'byte', npage: 'number', prot: 'number' }, ret: 'number' },
  vfio_iommu_type1_pin_pages: {
    args: { iova: 'byte', npage: 'number', prot: 'number' },
    ret: 'number',
  },
  vfio_unpin_pages: { args: { iova: 'byte', npage: 'number' }, ret: null },
  vfio_iommu_type1_unpin_pages: { args: { iova: 'byte', npage: 'number' }, ret: null },
  vfio_unpin_page_external: { args: {}, ret: 'number' },
  vfio_dma_rw: { args: { iova: 'byte', len: 'flags', write: 'number' }, ret: 'number' },
  extpin_dma_unmap: { args: { iova: 'address', length: 'bytes' }, ret: null },
  vfio_dma_populate_bitmap: { args: {}, ret: null },
  update_user_bitmap: { args: {}, ret: 'number' },
  // Calls that only a tracer with `details` sees.
  try_grab_folio_fast: { args: { refs: 'number' }, ret: null },
  try_grab_folio: { args: { refs: 'number' }, ret: null },
  folio_add_pins: { args: { pins: 'number' }, ret: null },
  gup_put_folio: { args: { refs: 'number' }, ret: null },
  pin_user_pages_fast: {
    args: { start: 'byte', npages: 'number', gup_flags: 'flags' },
    ret: 'number',
  },
  memfd_pin_folios: { args: { start: 'byte', end: 'byte', max: 'number' }, ret: 'number' },
  memfd_alloc_folio: { args: { idx: 'number' }, ret: null },
  vtdss_map_range: { args: { iova: 'address', paddr: 'address', len: 'bytes' }, ret: null },
  vtdss_unmap_range: { args: { iova: 'address', len: 'bytes' }, ret: null },
  // The functions of iommufd.
  iommufd_ioas_map: { args: {}, ret: null },
  iommufd_ioas_map_file: { args: {}, ret: null },
  iommufd_ioas_copy: { args: {}, ret: null },
  iommufd_ioas_unmap: { args: {}, ret: null },
  iopt_map_user_pages: { args: { uptr: 'byte', length: 'byte', prot: 'flags' }, ret: null },
  iopt_map_file_pages: { args: { fd: 'number', start: 'byte', length: 'byte' }, ret: null },
  iopt_alloc_dmabuf_pages: {
    args: { start_byte: 'flags', start: 'byte', length: 'byte' },
    ret: null,
  },
  iopt_get_pages: { args: { iova: 'byte', length: 'byte' }, ret: null },
  iopt_map_pages: { args: { length: 'byte', prot: 'flags', flags: 'flags' }, ret: 'number' },
  iopt_alloc_iova: { args: { addr: 'byte', length: 'byte' }, ret: null },
  iopt_check_iova: { args: { iova: 'byte', length: 'byte' }, ret: 'number' },
  iopt_insert_area: { args: { iova: 'byte', start_byte: 'flags', length: 'byte' }, ret: null },
  iopt_area_fill_domains: { args: {}, ret: 'number' },
  iopt_area_fill_domain: { args: {}, ret: 'number' },
  pfn_reader_first: { args: { start: 'number', last: 'number' }, ret: null },
  pfn_reader_next: { args: {}, ret: null },
  pfn_reader_fill_span: { args: {}, ret: null },
  pfn_reader_fill_dmabuf: { args: { start: 'number', last: 'number' }, ret: null },
  pfn_reader_user_pin: { args: { start: 'number', last: 'number' }, ret: 'number' },
  pfn_reader_unpin: { args: {}, ret: null },
  pfn_reader_release_pins: { args: {}, ret: null },
  pin_memfd_pages: { args: { start: 'byte', npages: 'number' }, ret: 'number' },
  batch_from_pages: { args: { npages: 'number', end_before: 'number' }, ret: null },
  batch_from_folios: { args: { npages: 'number', end_before: 'number' }, ret: null },
  batch_from_xarray: { args: { start: 'number', last: 'number' }, ret: null },
  batch_from_xarray_clear: { args: { start: 'number', last: 'number' }, ret: null },
  batch_from_domain: { args: { start: 'number', last: 'number', array: 'number' }, ret: null },
  batch_from_domain_continue: { args: { start: 'number', last: 'number' }, ret: null },
  batch_to_domain: {
    args: { ranges: 'number', pages: 'number', start: 'number', kind: 'number' },
    ret: 'number',
  },
  batch_iommu_map_small: { args: { iova: 'address', size: 'bytes' }, ret: null },
  batch_unpin: {
    args: { ranges: 'number', pages: 'number', off: 'number', npages: 'number' },
    ret: null,
  },
  batch_clear_carry: { args: { keep: 'number' }, ret: null },
  batch_skip_carry: { args: { skip: 'number' }, ret: null },
  iopt_pages_err_unpin: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_pages_update_pinned: {
    args: { npages: 'number', inc: 'number', mode: 'number', npinned: 'number', last: 'number' },
    ret: 'number',
  },
  incr_user_locked_vm: { args: { npages: 'number' }, ret: 'number' },
  decr_user_locked_vm: { args: { npages: 'number' }, ret: null },
  update_mm_locked_vm: { args: { npages: 'number', inc: 'number' }, ret: 'number' },
  iopt_unmap_iova_range: { args: { start: 'byte', last: 'byte' }, ret: 'number' },
  iopt_area_unfill_domains: { args: {}, ret: null },
  iopt_area_unfill_domain: { args: {}, ret: null },
  __iopt_area_unfill_domain: { args: { last: 'number' }, ret: null },
  iopt_area_unpin_domain: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_area_unmap_domain_range: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_area_unmap_domain: { args: {}, ret: null },
  iopt_abort_area: { args: {}, ret: null },
  iopt_release_pages: { args: {}, ret: null },
  iopt_table_add_domain: { args: {}, ret: 'number' },
  iopt_table_remove_domain: { args: {}, ret: null },
  iopt_fill_domain: { args: {}, ret: null },
  iopt_unfill_domain: { args: {}, ret: null },
  iopt_disable_large_pages: { args: {}, ret: null },
  iopt_cut_iova: { args: { n: 'number' }, ret: null },
  iopt_area_split: { args: { iova: 'byte' }, ret: 'number' },
  iommufd_access_pin_pages: {
    args: { iova: 'byte', length: 'byte', flags: 'flags' },
    ret: null,
  },
  iommufd_access_unpin_pages: { args: { iova: 'byte', length: 'byte' }, ret: null },
  iommufd_access_rw: { args: { iova: 'byte', length: 'byte', flags: 'flags' }, ret: null },
  iommufd_access_notify_unmap: { args: { iova: 'byte', length: 'byte' }, ret: null },
  iopt_area_add_access: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_area_remove_access: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_pages_fill_xarray: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_pages_unfill_xarray: { args: { start: 'number', last: 'number' }, ret: null },
  iopt_pages_rw_access: {
    args: { start: 'byte', length: 'byte', flags: 'flags' },
    ret: null,
  },
  pages_to_xarray: { args: { start: 'number', last: 'number' }, ret: null },
  clear_xarray: { args: { start: 'number', last: 'number' }, ret: null },
  raw_pages_from_domain: { args: { start: 'number', last: 'number' }, ret: null },
} as const;

/** Name of a kernel function whose calls are traced. */
export type TracedFunction = keyof typeof SIGNATURES;

/** What is traced of every function. */
export const TRACED_FUNCTIONS: Readonly<Record<TracedFunction, TracedSignature>> = SIGNATURES;

/** An argument, written as recordings write it. */
export interface WrittenArgument {
  /** Its name. */
  readonly name: string;
  /** Its value: `0x1000`, `512`. */
  readonly text: string;
}

/** A step between values that are handed over: what a page is to bytes. */
const PAGE_DIGITS = '000';
const ADDRESS_SPACE_PAGES = 2 ** 52;
const RLIM_INFINITY_PAGES = 2 ** 52 - 1;
const ALL_ONES = '0xffffffffffffffff';

/**
 * Writes the arguments of a call.
 *
 * @param fn the function
 * @param values what the hook has handed over
 * @returns the arguments with their names, in order
 * @source recordings README, "Trace"
 */
export function writeArguments(fn: TracedFunction, values: readonly number[]): WrittenArgument[] {
  let slot = 0;
  return Object.entries(TRACED_FUNCTIONS[fn].args).map(([name, unit]) => {
    const [value, next] = [values[slot], values[slot + 1]];
    slot += TWO_SLOTS.has(unit) ? 2 : 1;
    if (unit === 'extent') return writeExtent(value, next);
    return { name, text: writeValue(unit, value, next) };
  });
}

/**
 * Writes what a call returned.
 *
 * @param fn the function
 * @param ret what the hook has handed over
 * @returns for example `-14` or `0x200000`; empty if nothing is traced of it
 * @source recordings README, "Trace"
 */
export function writeReturn(fn: TracedFunction, ret: number): string {
  const unit = TRACED_FUNCTIONS[fn].ret;
  return unit === null ? '' : writeValue(unit, ret, 0);
}

/** What is handed over as two values. */
const TWO_SLOTS: ReadonlySet<TracedUnit> = new Set(['byte', 'wide', 'extent']);
/** Size of a flush of everything. */
const ALL_PAGES = '0x7fffffffffffffff';
/** Size of an empty gather, from its last byte 0 to its first, 2^64 - 1. */
const EMPTY_SIZE = '0x2';

function writeExtent(isLast: number, value: number): WrittenArgument {
  if (isLast === 1) return { name: 'last', text: writePage(value, 'fff') };
  if (value < 0) return { name: 'size', text: EMPTY_SIZE };
  return { name: 'size', text: value === Infinity ? ALL_PAGES : writePage(value, PAGE_DIGITS) };
}

function writeValue(unit: TracedUnit, value: number, offset: number): string {
  switch (unit) {
    case 'address':
    case 'bytes':
      return writePage(value, PAGE_DIGITS);
    case 'byte':
      return writePage(value, offset.toString(16).padStart(PAGE_DIGITS.length, '0'));
    case 'flags':
      return `0x${value.toString(16)}`;
    case 'wide': {
      const low = offset.toString(16);
      return value === 0 ? `0x${low}` : `0x${value.toString(16)}${low.padStart(8, '0')}`;
    }
    case 'limit':
      return String(Math.min(value, RLIM_INFINITY_PAGES));
    case 'number':
    case 'extent':
      return String(value);
  }
}

/** A page number with the digits inside the page; the ends of an empty gather are as the kernel's. */
function writePage(pn: number, digits: string): string {
  if (pn === Infinity) return ALL_ONES;
  if (pn < 0) return '0x0';
  // An address of 64 bits goes on at 0.
  const wrapped = pn % ADDRESS_SPACE_PAGES;
  const text = wrapped === 0 ? digits.replace(/^0+(?=.)/, '') : wrapped.toString(16) + digits;
  return `0x${text}`;
}
