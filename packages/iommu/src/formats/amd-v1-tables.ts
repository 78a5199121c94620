/**
 * AMD v1 host page tables: three to six levels, growing at the root, and every power of two but
 * 512 GiB as a leaf, in up to 256 entries that say the same.
 *
 * @source AMD IOMMU specification, host page tables; drivers/iommu/amd/amd_iommu_types.h
 * AMD_IOMMU_PGSIZES, 6.18; reference iommu.md §7.2; recordings README-amd, "Page sizes", "Levels"
 */
import type { RadixShape } from './radix-tables.ts';

/** Order of 512 GiB, which an erratum of the hardware forbids. */
const FORBIDDEN_ORDER = 27;
/** Order of 2^51 bytes, the largest leaf. */
const LARGEST_ORDER = 39;

/** Shape of the tables: six levels translate 64-bit addresses. */
export const AMD_V1_SHAPE: RadixShape = {
  levels: 3,
  tracesTables: true,
  aperturePages: 2 ** 52,
  pageOrders: Array.from({ length: LARGEST_ORDER + 1 }, (_, order) => order).filter(
    (order) => order !== FORBIDDEN_ORDER,
  ),
};
