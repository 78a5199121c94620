/**
 * What goes wrong without an error: an ioctl succeeds, but does not do what one would expect, or
 * costs more than it need.
 *
 * @source reference type1.md §7 (v1), §8; iommu.md §12.7
 */
import { byteAddress, pageNumber, PMD_ORDER } from '@pinfold/base';
import { hex } from '../hex.ts';
import type { Operation } from '../operation.ts';
import { endsAtTop, externalFindings, lostAtTop } from './external-findings.ts';
import type { Finding, FindingContext } from './finding.ts';
import type { StepState } from '../step-state.ts';
import { nameOf } from './live-mappings.ts';

type MapOperation = Extract<Operation, { op: 'map' }>;

const MAP_VADDR = 4;
const UNMAP_VADDR = 4;
const HUGE = 2n ** 21n;
/** Pages from which on faults are worth a sentence: 2 MiB. */
const MANY_FAULTS = 512;

function mapOf({ done: { operation, observation } }: FindingContext): MapOperation | null {
  const isMap = operation.op === 'map' && observation.ret === 0;
  return isMap && (operation.flags & MAP_VADDR) === 0 ? operation : null;
}

const unmappedNothing: Finding = {
  name: 'an unmap that unmapped nothing',
  find({ done: { operation, observation }, live }) {
    if (operation.op !== 'unmap' || observation.size_out !== '0x0') return null;
    if (operation.flags & UNMAP_VADDR) return null;
    const cut = live.at(operation.iova);
    const lost = live.all.find((map) => endsAtTop(map));
    if (lost) return lostAtTop(nameOf(lost));
    return cut && cut.iova < operation.iova && !live.v2
      ? `It returned success and size 0: the range begins inside ${nameOf(cut)}, and type1 v1 then removes nothing from there on.`
      : 'It returned success and size 0: no mapping lies in the range.';
  },
};

const unmappedMore: Finding = {
  name: 'an unmap that unmapped more than asked',
  find({ done: { operation, observation }, live }) {
    if (operation.op !== 'unmap' || observation.size_out === undefined) return null;
    const size = BigInt(observation.size_out);
    if (observation.ret < 0 || live.v2 || size <= operation.size) return null;
    return `It removed ${observation.size_out} bytes, more than the ${hex(operation.size)} asked for: type1 v1 removes every mapping whose first address lies in the range as a whole.`;
  },
};

const lockedTwice: Finding = {
  name: 'memory that is charged twice',
  find(context) {
    const map = mapOf(context);
    if (!map) return null;
    const shared = context.live.all.flatMap((other) => {
      const from = other.va > map.va ? other.va : map.va;
      const ends = [other.va + other.size, map.va + map.size];
      const to = ends[0] < ends[1] ? ends[0] : ends[1];
      return to > from ? [{ other, bytes: to - from }] : [];
    });
    const [first] = shared;
    if (!first || context.done.observation.pins.acquired === 0) return null;
    const pages = shared.reduce((sum, { bytes }) => sum + pageNumber(bytes), 0);
    return `${pages} pages of it are also in ${nameOf(first.other)}: they are pinned twice, and locked_vm is charged for them twice.`;
  },
};

const noSuperpages: Finding = {
  name: 'huge memory in small IOPTEs',
  find(context) {
    const map = mapOf(context);
    if (!map || (map.iova - map.va) % HUGE === 0n) return null;
    const pages = pagesIn(context.state, context.regions, map, PMD_ORDER);
    if (pages === 0) return null;
    return `iova and vaddr differ by ${hex((((map.iova - map.va) % HUGE) + HUGE) % HUGE)} modulo 2 MiB, so ${pages} pages that lie in huge folios get IOPTEs of 4 KiB: choose an iova that is congruent to the address.`;
  },
};

const faultedIn: Finding = {
  name: 'memory that is faulted in by the map',
  find(context) {
    const map = mapOf(context);
    if (!map) return null;
    const { before, state, regions } = context;
    const pages = pagesIn(state, regions, map, 0) - pagesIn(before, regions, map, 0);
    if (pages < MANY_FAULTS) return null;
    return `${pages} pages of it were not there: the map faulted them in and zeroed or copied them, which takes longer than pinning them.`;
  },
};

/** Pages of the range that are there and lie in folios of at least an order. */
function pagesIn(
  { layout }: StepState,
  regions: FindingContext['regions'],
  { va, size }: MapOperation,
  least: number,
): number {
  let pages = 0;
  for (const [name, extents] of layout) {
    const start = regions.get(name);
    if (start === undefined) continue;
    for (const [off, , n, order, flags] of extents) {
      const from = start + byteAddress(off);
      const to = from + byteAddress(n);
      const [low, high] = [from > va ? from : va, to < va + size ? to : va + size];
      const counts = order >= least && !flags.includes('z');
      if (counts && high > low) pages += pageNumber(high - low);
    }
  }
  return pages;
}

/** Everything that is looked for, external pins apart. */
export const findings: readonly Finding[] = [
  unmappedNothing,
  unmappedMore,
  lockedTwice,
  noSuperpages,
  faultedIn,
  ...externalFindings,
];
