/**
 * Which pages of the mapping are in which state at a step. Pinning and mapping go through the
 * mapping in the order of its addresses, and so does unmapping: a few numbers say it for any size.
 */
import type { TracedFunction } from '@pinfold/base';
import { Col, Kind, type Step } from './steps.ts';

/** State of a page. */
export type PageState = 'idle' | 'pinned' | 'chunk' | 'mapped' | 'waiting' | 'released';

/** All states of a page in their order, and what each means. */
export const PAGE_STATES: Readonly<Record<PageState, string>> = {
  idle: 'not pinned',
  pinned: 'pinned by GUP',
  chunk: 'in the chunk',
  mapped: 'mapped for the device',
  waiting: 'unmapped, still pinned',
  released: 'unpinned',
};

/** Pages in a row with the same state. */
export interface Band {
  /** Index in the mapping after the last of them. */
  readonly end: number;
  /** Their state. */
  readonly state: PageState;
}

/**
 * The states of all pages at a step.
 *
 * @param row the step's row
 * @param npage length of the mapping in pages
 * @returns bands that together are the mapping; none is empty
 */
export function bandsOf(row: Float64Array, npage: number): Band[] {
  const pins = row[Col.pins];
  const mapped = row[Col.mapped];
  const ends: [number, PageState][] =
    row[Col.phase] === 0
      ? [
          [mapped, 'mapped'],
          [row[Col.chunkStart] + row[Col.chunkPinned], 'chunk'],
          [pins, 'pinned'],
          [npage, 'idle'],
        ]
      : [
          [npage - pins, 'released'],
          [row[Col.unmapped], 'waiting'],
          [mapped, 'mapped'],
        ];
  const bands: Band[] = [];
  let start = 0;
  for (const [end, state] of ends) {
    if (end <= start) continue;
    bands.push({ end, state });
    start = end;
  }
  return bands;
}

/**
 * The state of one page.
 *
 * @param bands the bands of the mapping
 * @param page index in the mapping
 * @returns its state
 */
export function stateOf(bands: readonly Band[], page: number): PageState {
  for (const { end, state } of bands) if (page < end) return state;
  return 'idle';
}

/**
 * Pages that hold a pin, in a range of the mapping.
 *
 * @param bands the bands of the mapping
 * @param from index of the first page
 * @param end index after the last page
 * @returns their number
 */
export function pinsIn(bands: readonly Band[], from: number, end: number): number {
  let pins = 0;
  let start = 0;
  for (const band of bands) {
    const overlap = Math.min(end, band.end) - Math.max(from, start);
    if (overlap > 0 && band.state !== 'idle' && band.state !== 'released') pins += overlap;
    start = band.end;
  }
  return pins;
}

/** Functions that work on the chunk as a whole, when no more pages are taken into it. */
const OF_CHUNK = new Set<TracedFunction>([
  ...(['vfio_lock_acct', 'mm_lock_acct', '__account_locked_vm'] as const),
  ...(['iommu_map', 'iommu_map_nosync', 'intel_iommu_map_pages'] as const),
]);

/** Functions of the unmap that work on pages that are unmapped already. */
const OF_UNPIN = new Set<TracedFunction>([
  ...(['vfio_sync_unpin', 'intel_iommu_tlb_sync', 'cache_tag_flush_range'] as const),
  ...(['vfio_unpin_pages_remote', 'unpin_user_pages_dirty_lock', 'put_pfn'] as const),
  ...(['unpin_user_page_range_dirty_lock', 'unpin_user_pages', 'unpin_user_page'] as const),
]);

/**
 * The page that a step is about: where the eye belongs.
 *
 * @param step the step
 * @param npage length of the mapping in pages
 * @returns index in the mapping
 */
export function focusOf(step: Step, npage: number): number {
  const page = step.at(Col.phase) === 0 ? mapFocus(step) : unmapFocus(step, npage);
  return Math.min(Math.max(0, page), npage - 1);
}

function mapFocus(step: Step): number {
  const next = step.at(Col.chunkStart) + step.at(Col.chunkPinned);
  const kind = step.at(Col.kind);
  const isWhole =
    kind === Kind.take
      ? step.at(Col.batchSize) === 0
      : (step.fn !== null && OF_CHUNK.has(step.fn)) ||
        (step.fn === 'vfio_pin_pages_remote' && kind === Kind.exit);
  return isWhole ? next - 1 : next;
}

function unmapFocus(step: Step, npage: number): number {
  const { fn } = step;
  if (fn !== null && OF_UNPIN.has(fn)) return npage - step.at(Col.pins);
  const isInRun = fn === 'iommu_unmap_fast' || fn === 'intel_iommu_unmap_pages';
  return isInRun ? step.at(Col.runStart) : step.at(Col.unmapped);
}
