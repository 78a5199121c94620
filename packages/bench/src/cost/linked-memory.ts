/** The memory behind an author's words. */
import { formatSize } from '@pinfold/base';
import type { CostFacts } from './classes.ts';

/** Memory as a workload states it. */
export interface LinkedMemory {
  /** What it is. */
  readonly kind: CostFacts['memory'];
  /** Name of the backing. */
  readonly backing: string;
  /** Tag of the layout. */
  readonly layout: string;
}

/** What a measurement says of its memory. */
export interface StatedMemory {
  /** The memory, in the author's words or by the name of a backing. */
  readonly backing: string;
  /** Its page size in bytes; null: not stated. */
  readonly page_size: number | null;
  /** What was timed. */
  readonly op: string;
}

const SMALL_PAGE = 2 ** 12;
const LARGE_PAGE = 2 ** 21;
const GIGANTIC_PAGE = 2 ** 30;

/**
 * The memory that a measurement states.
 *
 * @param stated its words and page size; huge pages of an unstated size are of 2 MiB
 * @returns the memory, or why it is none that is modelled, as a sentence
 */
export function linkedMemory({
  backing,
  page_size: stated,
  op,
}: StatedMemory): LinkedMemory | string {
  const page = stated ?? pageInWords(backing);
  if (page !== null && ![SMALL_PAGE, LARGE_PAGE, GIGANTIC_PAGE].includes(page))
    return `pages of ${formatSize(page)} are not modelled`;
  if (/MAP_SHARED|shmem|memfd/.test(backing)) {
    if (page === null || page === SMALL_PAGE) return { kind: 'shmem', backing: '4k', layout: 'T4' };
    if (!/hugetlb/i.test(backing)) return 'shmem in huge pages: no profile has its costs';
  }
  if (/hugetlb|hugepages|1 ?G(?:iB)? (?:huge)?page/i.test(backing)) {
    if (page === SMALL_PAGE) return 'hugetlb pages of 4K: there are none';
    return page === GIGANTIC_PAGE
      ? { kind: 'hugetlb', backing: 'hugetlb-1g', layout: 'H1' }
      : { kind: 'hugetlb', backing: 'hugetlb-2m', layout: 'H2' };
  }
  const small = page === SMALL_PAGE || /small|4k|no THP/i.test(backing) || op === 'qemu-start';
  if (small) return { kind: 'anon', backing: '4k', layout: 'T4' };
  const large = page === LARGE_PAGE || /\bTHP\b|MADV_HUGEPAGE|transparent huge/i.test(backing);
  if (large && page !== GIGANTIC_PAGE) return { kind: 'anon', backing: 'thp', layout: 'H2' };
  return `the memory '${backing}' is none that is modelled`;
}

/** A page size that the words state, such as `hugetlb-1g` or `1 GiB pages`. */
function pageInWords(backing: string): number | null {
  if (/\b1 ?g(?:i?b)?\b/i.test(backing)) return GIGANTIC_PAGE;
  return /\b2 ?m(?:i?b)?\b/i.test(backing) ? LARGE_PAGE : null;
}
