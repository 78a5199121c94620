/** The pin algorithm behind what an author says that a variant changes. */
import { pinAlgorithms } from '@pinfold/vfio-type1';

/** Pin algorithms by what a variant changes in a map, the first that fits; empty: nothing. */
const MAP_ALGORITHMS: readonly (readonly [RegExp, string])[] = [
  [/one page per gup/, 'page-at-a-time'],
  [/batches of 512/, 'batched-page-array'],
  [/unpin (?:only|patch only|side only)|^unpin RFC|padata 1 thread/i, ''],
  [/hugetlb batch step|hugetlb only/, 'hugetlb-v1-2025'],
  [/page-compare|page compar|nth_page|num_pages_contiguous/, 'series-1-4'],
  [/v[4-9] (?:series|patch)|v[23] series|merged|map side/, 'series-1-4'],
  [/folio|pin patch|v1 series/, 'series-1-folio'],
];

/** The same for an unmap. */
const UNMAP_ALGORITHMS: readonly (readonly [RegExp, string])[] = [
  [/one page per gup/, 'page-at-a-time'],
  [/map side|pin patch \([^)]*\)(?: only)?$|pin-only|pin patch only/, ''],
  [/range unpin|page_range_dirty_lock|unpin_user_page_range|has_rsvd|series/, 'series-1-4'],
  [/unpin_user_folio_dirty_locked|unpin v[45]/, 'unpin-folio-2025'],
  [/unpin RFC|RFC v\d/i, 'unpin-rfc-2025'],
];

/** Variants of GUP and of unpinning that are modelled: by a fact, not by an algorithm. */
const GUP_VARIANTS = /^base\b|READ_ONCE/;

/**
 * The algorithm of a variant in a call.
 *
 * @param variant what was changed, in the author's words or by the name of an algorithm
 * @param call the call
 * @param kernel the kernel that was changed
 * @returns an algorithm or the kernel; null for a change that is not modelled
 */
export function linkedAlgorithm(
  variant: string,
  call: 'map' | 'unmap' | 'gup' | 'put',
  kernel: string,
): string | null {
  if (call === 'gup' || call === 'put') return GUP_VARIANTS.test(variant) ? kernel : null;
  if (/^base\b(?!: one page)/.test(variant)) return kernel;
  if (pinAlgorithms.some(({ name }) => name === variant)) return variant;
  const table = call === 'map' ? MAP_ALGORITHMS : UNMAP_ALGORITHMS;
  const found = table.find(([says]) => says.test(variant));
  if (found === undefined) return null;
  return found[1] === '' ? kernel : found[1];
}
