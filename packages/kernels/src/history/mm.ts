/** What of the memory management holds since when. */
import type { MmRules } from '@pinfold/mm';
import { initially, since, type Histories } from './fact.ts';

/** The history of every mm rule. */
export const mmHistory: Histories<MmRules> = {
  rangeUnpinStep: [
    initially(
      'nth_page',
      'a range unpin goes from page to page through the pfn',
      'mm/gup.c unpin_user_page_range_dirty_lock, 6.12 and 6.16',
    ),
    since(
      '6.18',
      'page + i',
      'a range unpin relies on a range that is contiguous in the memory map',
      'mm/gup.c gup_folio_range_next, 6.18',
    ),
  ],
  hugeZeroUnshare: [
    initially(
      'split',
      'a read-only pin of the huge zero page ends in 4 KiB pages',
      'recordings of 6.12.90, b10 and b11',
    ),
    since(
      '6.16',
      'thp',
      'a read-only pin of the huge zero page makes a THP',
      'recordings of 6.16.12, b10 and b11',
    ),
  ],
  diskLargeFolios: [
    initially(false, 'the page cache of ext4 is single pages', 'recordings of 6.12.90, mem11'),
    since('6.16', true, 'the page cache of ext4 has large folios', 'recordings of 6.16.12, mem11'),
  ],
  readPinUnshare: [
    initially(
      'nothing',
      'a read-only pin takes every page as it is, those shared with a child too',
      'recordings of 5.10.223, b37',
    ),
    since(
      '5.19',
      'anon',
      'a read-only pin unshares pages that a child has too, not zero pages or files',
      'mm/gup.c gup_must_unshare, 6.1; recordings of 6.1.176, b03, b18 and b37',
    ),
    since(
      '6.2',
      'private',
      'a read-only pin unshares zero pages and private file pages too',
      'mm/gup.c gup_must_unshare, 6.12; recordings of 6.12.90, b03 and b18',
    ),
  ],
  pinsZeroPage: [
    initially(true, 'a pin of the zero page counts', 'recordings of 5.10.223, b03'),
    since(
      '6.1',
      false,
      'a pin of the zero page does not count',
      'mm/gup.c try_grab_folio, 6.5, and earlier by backport; recordings of 6.1.176, b03',
    ),
  ],
  pinsWriteToFiles: [
    initially(
      true,
      'a device may write to shared files of any file system',
      'recordings of 6.1.176, b24',
    ),
    since(
      '6.5',
      false,
      'a device may not write to shared files that are written back',
      'mm/gup.c writable_file_mapping_allowed, 6.12; recordings of 6.12.90, b24',
    ),
  ],
  follLongterm: [
    initially(0x10000, 'FOLL_LONGTERM is 0x10000', 'recordings of 6.1.176'),
    since('6.3', 0x100, 'FOLL_LONGTERM is 0x100', 'include/linux/mm_types.h, 6.12'),
  ],
  pfnmapWalk: [
    initially(
      'follow_pte',
      'pfn mappings are looked up by follow_pte',
      'recordings of 6.1.176, p01',
    ),
    since(
      '6.12',
      'follow_pfnmap_start',
      'pfn mappings are looked up by follow_pfnmap_start',
      'mm/memory.c follow_pfnmap_start, 6.12',
    ),
  ],
  barFault: [
    initially(
      'whole',
      'a fault of a BAR maps all of it in 4 KiB entries',
      'drivers/vfio/pci/vfio_pci_core.c vfio_pci_mmap_fault, 6.1; recordings of 6.1.176, p02',
    ),
    since(
      '6.12',
      'leaf',
      'a fault of a BAR maps 2 MiB or 1 GiB where they fit',
      'drivers/vfio/pci/vfio_pci_core.c vfio_pci_mmap_huge_fault, 6.12; recordings of 6.12.90, p02',
    ),
  ],
  thpSizes: [
    initially(false, 'THP is 2 MiB', 'recordings of 6.1.176, b26'),
    since(
      '6.8',
      true,
      'THP has sizes from 16 KiB on',
      'mm/huge_memory.c, 6.8; recordings of 6.12.90, b26',
    ),
  ],
  populateGoesOn: [
    initially(true, 'MADV_POPULATE goes on after a hole', 'recordings of 6.1.176, edge08'),
    since('6.12', false, 'MADV_POPULATE ends at a hole', 'recordings of 6.12.90, edge08'),
  ],
  fileHugeObeysAdvice: [
    initially(
      false,
      'huge pages of shmem are mapped whole under MADV_NOHUGEPAGE too',
      'recordings of 6.1.176, hang05',
    ),
    since(
      '6.12',
      true,
      'MADV_NOHUGEPAGE keeps huge pages of shmem in 4 KiB entries',
      'recordings of 6.12.90, hang05',
    ),
  ],
  hugeShmemBeyondEnd: [
    initially(
      true,
      'shmem_enabled force makes huge pages beyond the end of a file',
      'recordings of 6.1.176, b46',
    ),
    since('6.12', false, 'huge pages of shmem end with their file', 'recordings of 6.12.90, b46'),
  ],
  largeAnonReuse: [
    initially(
      'last-reference',
      'of a large folio in 4 KiB entries the last page that is left is kept after a fork',
      'recordings of 6.1.176, cow02',
    ),
    since(
      '6.8',
      'never',
      'pages of a large folio in 4 KiB entries are copied at each write after a fork',
      'mm/memory.c wp_can_reuse_anon_folio, 6.12; recordings of 6.12.90, cow01',
    ),
    since(
      '6.15',
      'sole-mapper',
      'pages of a large folio in 4 KiB entries are kept where their process alone maps it and nobody pins it',
      'mm/memory.c __wp_can_reuse_large_anon_folio, 6.16; recordings of 6.16.12, cow01',
    ),
  ],
  deviceHugeObeysThp: [
    initially(
      true,
      'huge entries of device memory obey transparent_hugepage/enabled',
      'recordings of 6.12.90 to 6.18.15, bar01',
    ),
    since(
      '7.2',
      false,
      'huge entries of device memory do not ask transparent_hugepage/enabled',
      'recordings of 7.2.12, bar01',
    ),
  ],
  collapseNeedsWritable: [
    initially(
      true,
      'MADV_COLLAPSE needs a writable entry',
      'mm/khugepaged.c hpage_collapse_scan_pmd, 6.16; recordings of 6.16.12, par05',
    ),
    since('6.17', false, 'MADV_COLLAPSE needs no writable entry', 'recordings of 6.18.15, par05'),
  ],
  faultAround: [
    initially(
      'window',
      'a read fault maps pages of a file in a window of 64 KiB',
      'mm/memory.c do_fault_around, 6.16; recordings of 6.16.12, hang05',
    ),
    since(
      '6.18',
      'folio',
      'a read fault maps the whole folio of a file',
      'recordings of 6.18.15, hang05',
    ),
  ],
  mremapMovesSeveral: [
    initially(false, 'mremap moves one area', 'mm/mremap.c, 6.16; recordings of 6.16.12, xmr01'),
    since(
      '6.17',
      true,
      'mremap moves several areas at once',
      'mm/mremap.c remap_move, 6.17; recordings of 6.18.15, xmr01',
    ),
  ],
};
