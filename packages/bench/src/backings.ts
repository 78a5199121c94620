/**
 * What memory can be mapped: one table entry per backing. The unit test `vfio-pci-mem-dma-map`
 * knows the first three as MADV_HUGEPAGE, MAP_POPULATE and HUGETLBFS.
 */
import { formatSize, InputError, PAGE_SIZE, PMD_ORDER, PUD_ORDER } from '@pinfold/base';
import type { MemoryKind } from '@pinfold/mm';

/** A kind of memory that a process maps for DMA, populated beforehand. */
export interface Backing {
  /** Name, as on the command line. */
  readonly name: string;
  /** One line on what it is. */
  readonly summary: string;
  /** Who has published times of it. */
  readonly source: string;
  /** Kind of memory. */
  readonly kind: MemoryKind;
  /** Order of its folios: log2 of their size in 4 KiB pages. */
  readonly order: number;
}

/** All backings, in the order in which reports show them. */
export const backings: readonly Backing[] = [
  {
    name: 'thp',
    summary: 'private anonymous memory with MADV_HUGEPAGE, in folios of 2 MiB',
    source: 'MADV_HUGEPAGE of the unit test vfio-pci-mem-dma-map',
    kind: 'anon',
    order: PMD_ORDER,
  },
  {
    name: '4k',
    summary: 'private anonymous memory with MAP_POPULATE, in folios of 4 KiB',
    source: 'MAP_POPULATE of the unit test vfio-pci-mem-dma-map',
    kind: 'anon',
    order: 0,
  },
  {
    name: 'hugetlb-2m',
    summary: 'hugetlb memory in pages of 2 MiB',
    source: 'HUGETLBFS of the unit test vfio-pci-mem-dma-map, on pages of 2 MiB',
    kind: 'hugetlb',
    order: PMD_ORDER,
  },
  {
    name: 'hugetlb-1g',
    summary: 'hugetlb memory in pages of 1 GiB',
    source: 'HUGETLBFS of the same test, on the 1 GiB pages that the review of June 2025 measured',
    kind: 'hugetlb',
    order: PUD_ORDER,
  },
];

/**
 * Looks a backing up.
 *
 * @param name its name
 * @param place the flag or the place in a file, for the message
 * @returns the backing
 * @throws {InputError} when there is none of that name
 */
export function backing(name: string, place = 'backing'): Backing {
  const found = backings.find((candidate) => candidate.name === name);
  if (found) return found;
  const names = backings.map((candidate) => candidate.name).join(', ');
  throw new InputError(place, `one of ${names}`, `'${name}'`);
}

/**
 * The backings with which a size can be mapped, for someone who has not asked for any.
 *
 * @param bytes the size
 * @param isAskedFor whether a backing was asked for in another way, such as by its layout: then it
 *   stays, whatever the size
 * @returns those that the size is a whole number of pages of; if there are none, the one with the
 *   smallest page
 */
export function backingsFor(
  bytes: number,
  isAskedFor: (backing: Backing) => boolean = () => false,
): Backing[] {
  const suited = backings.filter((one) => isAskedFor(one) || isWholePages(bytes, one));
  if (suited.length > 0) return suited;
  return [backings.reduce((least, one) => (one.order < least.order ? one : least))];
}

function isWholePages(bytes: number, { order }: Backing): boolean {
  return bytes > 0 && bytes % (PAGE_SIZE * 2 ** order) === 0;
}

/**
 * Checks that a size can be mapped with a backing.
 *
 * @param bytes the size
 * @param backing the backing
 * @param place the flag or the place in a file, for the message
 * @throws {InputError} when it is 0, or no whole number of the backing's pages; it names the nearest
 *   sizes that are
 */
export function checkWholePages(bytes: number, backing: Backing, place: string): void {
  const page = PAGE_SIZE * 2 ** backing.order;
  if (bytes === 0) throw new InputError(place, 'more than 0', '0');
  if (isWholePages(bytes, backing)) return;
  const below = bytes - (bytes % page);
  const nearest = [below, below + page].filter((size) => size > 0).map(formatSize);
  const of = `${formatSize(page)}, the page size of ${backing.name}`;
  const expected = `a multiple of ${of}, such as ${nearest.join(' or ')}`;
  throw new InputError(place, expected, formatSize(bytes));
}
