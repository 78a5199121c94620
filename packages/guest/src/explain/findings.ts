/**
 * What goes wrong without an error: an ioctl succeeds, but does not do what one would expect, or
 * costs more than it need.
 *
 * @source reference type1.md §7 (v1), §8; iommu.md §12.7
 */
import { byteAddress, pageNumber, pagesOf, PMD_ORDER } from '@pinfold/base';
import { hex, type StepState } from '@pinfold/scenario';
import type { Operation } from '../operations/index.ts';
import { externalFindings, lostAtTop, mappingAtTop } from './external-findings.ts';
import type { Finding, FindingContext } from './finding.ts';
import { nameOf } from './live-mappings.ts';
import { staleMemory } from './stale-memory.ts';
import { countText, sizeText } from './units.ts';
import { vanishedMappings } from './vanished-mappings.ts';

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
    const lost = mappingAtTop(live);
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
    if (!map || context.done.observation.pins.acquired === 0) return null;
    const shared = context.live.sharing(map.va, map.size);
    if (!shared) return null;
    return `${shared.pages} pages of it are also in ${nameOf(shared.mapping)}: they are pinned twice, and locked_vm is charged for them twice.`;
  },
};

const noSuperpages: Finding = {
  name: 'huge memory in small IOPTEs',
  find(context) {
    const map = mapOf(context);
    if (!map) return null;
    const blocks = hugeBlocks(context, map);
    // A block needs an iova that is congruent to its frame, whatever its virtual address is.
    const lost = blocks.filter(({ iova, phys }) => (iova - phys) % HUGE !== 0n);
    if (lost.length === 0) return null;
    const [{ iova, phys }] = lost;
    const off = (((iova - phys) % HUGE) + HUGE) % HUGE;
    const pages = lost.length * pagesOf(PMD_ORDER);
    const same = lost.filter((one) => (one.iova - one.phys - off) % HUGE === 0n).length;
    const better = hex(map.iova + HUGE - off);
    return (
      `iova and memory differ by ${hex(off)} modulo 2 MiB, so ${pages} pages that lie in ` +
      `${countText(lost.length, 'whole block')} of 2 MiB get IOPTEs of 4 KiB: choose an iova that is ` +
      `congruent to the address, such as ${better}, and ${countText(same, 'IOPTE')} of 2 MiB would do for ` +
      `${same === lost.length ? 'them' : `${same * pagesOf(PMD_ORDER)} of them`}.`
    );
  },
};

/** A whole aligned block of 2 MiB of memory that a map covers. */
interface HugeBlock {
  /** Where the device sees it. */
  readonly iova: bigint;
  /** Where it lies. */
  readonly phys: bigint;
}

/** The blocks of a map that lie in huge folios, and that an IOPTE of 2 MiB could map. */
function hugeBlocks({ state, regions }: FindingContext, map: MapOperation): HugeBlock[] {
  const blocks: HugeBlock[] = [];
  for (const { va, size, pfn, order, flags } of regions.extents(state, map.va, map.size)) {
    if (order < PMD_ORDER || flags.includes('z')) continue;
    const [low, high] = clipped(va, va + size, map);
    const phys = byteAddress(pfn);
    const first = phys + low - va;
    for (let at = roundUp(first); at + HUGE <= phys + high - va; at += HUGE) {
      blocks.push({ iova: map.iova + (va + (at - phys) - map.va), phys: at });
    }
  }
  return blocks;
}

function roundUp(address: bigint): bigint {
  return ((address + HUGE - 1n) / HUGE) * HUGE;
}

/** The part of an address range that a map covers; its end is not above its begin if there is none. */
function clipped(from: bigint, to: bigint, { va, size }: MapOperation): readonly [bigint, bigint] {
  return [from > va ? from : va, to < va + size ? to : va + size];
}

const privileged: Finding = {
  name: 'a limit that does not hold',
  find({ done: { operation, observation }, live, before }) {
    const { memlock, mm } = observation;
    const charged = mm.VmLck * 1024;
    if (memlock === null || live.limitLine === null || live.capLine !== null) return null;
    if (charged <= memlock || mm.VmLck <= before.shown.mm.VmLck) return null;
    return (
      `It locks more than the limit of line ${live.limitLine}: VmLck is ${sizeText(BigInt(charged))}, ` +
      `RLIMIT_MEMLOCK ${sizeText(BigInt(memlock))}. The limit does not hold because the process has ` +
      'CAP_IPC_LOCK; the process of a scenario is root until `dropcap`. Without it, the step fails with ' +
      `${operation.op === 'mmap' ? 'EAGAIN' : 'ENOMEM'}.`
    );
  },
};

const faultedIn: Finding = {
  name: 'memory that is faulted in by the map',
  find(context) {
    const map = mapOf(context);
    if (!map) return null;
    const { before, state, regions } = context;
    const pages = pagesIn(state, regions, map) - pagesIn(before, regions, map);
    if (pages < MANY_FAULTS) return null;
    return `${pages} pages of it were not there: the map faulted them in and zeroed or copied them, which takes longer than pinning them.`;
  },
};

/** Pages of the range that are there. */
function pagesIn(state: StepState, regions: FindingContext['regions'], map: MapOperation): number {
  let pages = 0;
  for (const { va, size, flags } of regions.extents(state, map.va, map.size)) {
    const [low, high] = clipped(va, va + size, map);
    if (!flags.includes('z') && high > low) pages += pageNumber(high - low);
  }
  return pages;
}

/** Everything that is looked for, external pins apart. */
export const findings: readonly Finding[] = [
  unmappedNothing,
  unmappedMore,
  lockedTwice,
  noSuperpages,
  privileged,
  faultedIn,
  staleMemory,
  vanishedMappings,
  ...externalFindings,
];
