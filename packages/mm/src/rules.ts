/**
 * What of the memory management differs between kernel releases. Code asks the table, never for a
 * version; which release has which table is in `@pinfold/kernels`.
 */

/** The mm part of a kernel release. */
export interface MmRules {
  /**
   * How `unpin_user_page_range_dirty_lock` gets from one `struct page` to the next: by `nth_page`
   * (through the pfn where the memory map is not virtually contiguous), or by `page + i`, which
   * since 6.18 relies on the caller's range being contiguous in the memory map.
   */
  readonly rangeUnpinStep: 'nth_page' | 'page + i';
  /**
   * What an unshare fault makes of the huge zero page (a read-only longterm pin of a THP range that
   * was never written to): a `thp` of its own, or a `split` into the zero pages of 4 KiB entries,
   * each of which is then unshared into a small folio.
   */
  readonly hugeZeroUnshare: 'thp' | 'split';
  /** Whether the page cache of file systems on disks has large folios (ext4: since 6.16). */
  readonly diskLargeFolios: boolean;
  /**
   * When a page that 4 KiB entries map of a large anonymous folio is kept at copy on write: as the
   * `last-reference` of the folio (up to 6.7), `never`, or
   * `sole-mapper` (since 6.15): several pages of the folio are mapped, all by this process, and nothing
   * but these mappings holds a reference.
   */
  readonly largeAnonReuse: 'last-reference' | 'never' | 'sole-mapper';
  /**
   * Whether huge faults of device memory obey `transparent_hugepage/enabled` as anonymous memory does;
   * MADV_NOHUGEPAGE they always obey.
   */
  readonly deviceHugeObeysThp: boolean;
  /** Whether MADV_COLLAPSE wants a writable entry in the block, else -EINVAL (up to 6.16). */
  readonly collapseNeedsWritable: boolean;
  /**
   * What a read fault maps around a page of a large folio of a file: pages of the `window` of 64 KiB, or
   * the whole `folio` where area and last-level table hold all of it (since 6.18).
   */
  readonly faultAround: 'window' | 'folio';
  /** Whether an mremap to a given place may move several areas at once (since 6.17). */
  readonly mremapMovesSeveral: boolean;
  /**
   * What a read-only longterm pin of a private mapping has unshared first: everything that does not
   * belong to the process alone (`private`, since 6.2), only anonymous pages (`anon`), or `nothing`,
   * so that the zero page, pages of a file, or pages shared with a child are pinned as they are.
   */
  readonly readPinUnshare: 'private' | 'anon' | 'nothing';
  /** Whether a pin of the zero page is counted as others are. */
  readonly pinsZeroPage: boolean;
  /** Whether a longterm pin may write to shared mappings of files that the file system writes back. */
  readonly pinsWriteToFiles: boolean;
  /** FOLL_LONGTERM as the kernel has it, which only a tracer sees. */
  readonly follLongterm: number;
  /** The function that looks a pfn mapping up, by name. */
  readonly pfnmapWalk: 'follow_pte' | 'follow_pfnmap_start';
  /**
   * What a fault of a BAR maps: the largest `leaf` that fits, or the `whole` area in 4 KiB entries (up
   * to 6.11).
   */
  readonly barFault: 'whole' | 'leaf';
  /** Whether huge pages have settings of their own for each size (`hugepages-*kB`). */
  readonly thpSizes: boolean;
  /** Whether a forced huge page of shmem may reach beyond the end of its file. */
  readonly hugeShmemBeyondEnd: boolean;
  /** Whether MADV_POPULATE goes on after a hole, and fails at its end. */
  readonly populateGoesOn: boolean;
  /** Whether huge entries of files heed MADV_NOHUGEPAGE. */
  readonly fileHugeObeysAdvice: boolean;
  /** Kernel source or reference section of the facts above. */
  readonly source: string;
}

/** The rules of the newest kernel, so that this package can be used alone. */
export const LATEST_MM_RULES: MmRules = {
  rangeUnpinStep: 'page + i',
  hugeZeroUnshare: 'thp',
  diskLargeFolios: true,
  largeAnonReuse: 'sole-mapper',
  deviceHugeObeysThp: false,
  collapseNeedsWritable: false,
  faultAround: 'folio',
  mremapMovesSeveral: true,
  readPinUnshare: 'private',
  pinsZeroPage: false,
  pinsWriteToFiles: false,
  follLongterm: 0x100,
  pfnmapWalk: 'follow_pfnmap_start',
  barFault: 'leaf',
  thpSizes: true,
  hugeShmemBeyondEnd: false,
  populateGoesOn: false,
  fileHugeObeysAdvice: true,
  source: 'mm/gup.c gup_folio_range_next, 6.18; recordings of 7.2.12',
};
