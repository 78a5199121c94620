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
  largeAnonReuse: [
    initially(
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
