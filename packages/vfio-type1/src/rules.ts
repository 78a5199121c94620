/**
 * What of VFIO type1 differs between kernel releases. Code asks the table, never for
 * a version; which release has which table is in `@pinfold/kernels`.
 */
import type { IommuRules } from '@pinfold/iommu';
import type { PinAlgorithm } from './pin-algorithm.ts';

/** The type1 part of a kernel release. */
export interface Type1Rules {
  /** How pages are pinned and unpinned. */
  readonly pinAlgorithm: PinAlgorithm;
  /**
   * Entries of the page array between GUP and the pin loop (struct vfio_batch): a number, or as many
   * pointers as a `page` holds (VFIO_BATCH_MAX_CAPACITY), 512 of 4 KiB.
   */
  readonly batchCapacity: number | 'page';
  /** Errno for an iova or vaddr range that wraps at 2^64. */
  readonly wrapErrno: number;
  /** Whether MAP_DMA tests size 0 and wrapping first, before the access flags and the lock. */
  readonly rangeCheckedFirst: boolean;
  /** Whether VFIO_IOMMU_DIRTY_PAGES reads a range that ends at 2^64, or takes it for one that wraps. */
  readonly dirtyRangeToTop: boolean;
  /**
   * Whether look-ups of mappings compute with the end behind a range, which wraps to 0 at 2^64: a
   * mapping that ends there is never found (recording x37 of 6.12 and 6.16).
   */
  readonly exclusiveEnds: boolean;
  /**
   * Whether a device's pin and unpin calls are refused for a range that wraps: EOVERFLOW, and a
   * warning (recording x37 of 6.18 and 7.2).
   */
  readonly externalRangeChecked: boolean;
  /**
   * Whether pins are looked up at exactly the addresses of pages when an IOMMU comes: those inside
   * pages are then charged again (recording y18 of 6.12 and 6.16).
   */
  readonly exactPinLookups: boolean;
  /** Whether a new domain is tested for superpages that can only be unmapped as a whole (fgsp). */
  readonly fgspTest: boolean;
  /**
   * Whether a device that does not want to know of unmaps may pin nothing. Else any device may, as soon
   * as one of the container wants to know (recording x34 of 6.1).
   */
  readonly pinNeedsNotifier: boolean;
  /**
   * Whether the core hands the calls of a device to functions of the container's own
   * (`vfio_device_container_*`), which a warning names, and warns of a device that is not open by itself.
   */
  readonly containerCalls: boolean;
  /** Whether the driver offers the nesting type (VFIO_CHECK_EXTENSION of VFIO_TYPE1_NESTING_IOMMU). */
  readonly nestingType: boolean;
  /** Errno of VFIO_SET_IOMMU with the nesting type, where the driver offers it and cannot nest. */
  readonly nestingErrno: number;
  /** Whether one UNMAP_DMA may unmap everything (VFIO_DMA_UNMAP_FLAG_ALL, VFIO_UNMAP_ALL). */
  readonly unmapAll: boolean;
  /** Whether the vaddr of a mapping can be replaced (the VADDR flags, VFIO_UPDATE_VADDR). */
  readonly updateVaddr: boolean;
  /**
   * In which order UNMAP_DMA takes the mappings of a range: by `address`, or as the `tree` of mappings
   * shows them to a look-up from its root, again and again until there is none.
   */
  readonly unmapOrder: 'address' | 'tree';
  /** Kernel source, recording or reference section of the facts above. */
  readonly source: string;
}

/** What a container asks of its kernel. */
export interface Type1Kernel {
  /** Rules of the IOMMU layer. */
  readonly iommu: IommuRules;
  /** Rules of VFIO type1. */
  readonly type1: Type1Rules;
}
