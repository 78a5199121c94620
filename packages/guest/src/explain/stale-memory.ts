/**
 * Memory that a process has lost or replaced under a live mapping: the device keeps the page that was
 * pinned when the mapping was made, and does not see the new one.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_map_dma, 6.16: pages are looked up once, at the map
 */
import { byteAddress, pageNumber } from '@pinfold/base';
import { hex, ShownLayouts, type IommuTable, type StepState } from '@pinfold/scenario';
import type { Finding, FindingContext } from './finding.ts';
import { nameOf, type LiveMapping } from './live-mappings.ts';
import type { MemoryExtent } from './mapped-regions.ts';
import { pagesText } from './units.ts';

/** First byte, and the byte after the last. */
type AddressRange = readonly [from: bigint, to: bigint];

/** Pages of the process at which the device reaches another frame, or that the process has no more. */
interface Differing {
  readonly mapping: LiveMapping;
  /** First byte of the first of them. */
  readonly va: bigint;
  /** What the device reaches there, in bytes. */
  readonly device: bigint;
  /** What the process has there, in bytes; null: nothing. */
  readonly cpu: bigint | null;
  /** How many. */
  readonly pages: number;
}

/** The first and the number of the pages that differ, of one kind. */
class Tally {
  found: Differing | null = null;

  add(one: Differing): void {
    this.found = { ...(this.found ?? one), pages: (this.found?.pages ?? 0) + one.pages };
  }
}

/** Where an IOMMU page table leads; null: nowhere, or to a run that is not listed. */
function physAt({ runs }: IommuTable, iova: bigint): { phys: bigint; left: bigint } | null {
  let [low, high] = [0, runs.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (BigInt(runs[middle][0]) <= iova) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return null;
  const [start, phys, size] = runs[low - 1].slice(0, 3).map((text) => BigInt(text));
  const off = iova - start;
  return off < size ? { phys: phys + off, left: size - off } : null;
}

/** Operations that leave all memory with the process, be it pinned or not. */
const KEEPS_MEMORY: ReadonlySet<string> = new Set([
  ...['unmap', 'unpin', 'unpinlist', 'dirty', 'info', 'memlock', 'dropcap', 'fork', 'sysfs'],
]);

/**
 * The memory that an operation works on, in bytes: what else changes with it, such as how neighbouring
 * pages are listed, is no memory that anybody has lost. Null: it may be any.
 */
function ownMemory({ done: { operation } }: FindingContext): AddressRange | null {
  // What moves is gone from one place and may replace what was in another.
  if (operation.op === 'mremap' || !('va' in operation && 'size' in operation)) return null;
  const { va, size } = operation;
  if (va === undefined || va === null) return null;
  const page = byteAddress(1);
  return [va - (va % page), ((va + size + page - 1n) / page) * page];
}

/** The changed ranges of memory of a step, in bytes; regions that lie in the same place are one. */
function changedMemory(context: FindingContext): AddressRange[] {
  if (KEEPS_MEMORY.has(context.done.operation.op)) return [];
  const own = ownMemory(context);
  const ranges = shownMemory(context);
  if (!own) return ranges;
  return ranges.flatMap(([from, to]): AddressRange[] => {
    const [first, end] = [from > own[0] ? from : own[0], to < own[1] ? to : own[1]];
    return first < end ? [[first, end]] : [];
  });
}

/** Where a step shows the layout of memory anew. */
function shownMemory({ done, regions }: FindingContext): AddressRange[] {
  const layout = done.observation.layout ?? {};
  const changed = Object.keys(layout).flatMap((name): AddressRange[] => {
    const region = regions.named(name);
    if (!region) return [];
    const { off, n } = ShownLayouts.changed(layout, name) ?? { off: 0, n: region.npage };
    const npage = Math.min(n, region.npage - off);
    return npage > 0 ? [[byteAddress(region.at + off), byteAddress(region.at + off + npage)]] : [];
  });
  const merged: AddressRange[] = [];
  for (const [from, to] of changed.sort(([a], [b]) => Number(a - b))) {
    const last = merged.at(-1);
    if (!last || from > last[1]) merged.push([from, to]);
    else merged[merged.length - 1] = [last[0], to > last[1] ? to : last[1]];
  }
  return merged;
}

/** Whether every page of an extent is the zero page. */
function isZero({ flags }: MemoryExtent): boolean {
  return flags.includes('z');
}

/** Whether memory that has left the process is another page when it comes back: not that of a file. */
function comesBackAnew({ flags }: MemoryExtent, { done: { operation } }: FindingContext): boolean {
  return flags.includes('a') || (operation.op === 'madvise' && operation.advice === 'remove');
}

/** The part of an extent that lies in a range; null if none does. */
function partOf(extent: MemoryExtent, from: bigint, to: bigint): MemoryExtent | null {
  const va = extent.va > from ? extent.va : from;
  const end = extent.va + extent.size < to ? extent.va + extent.size : to;
  if (end <= va) return null;
  const pfn = isZero(extent) ? extent.pfn : extent.pfn + pageNumber(va - extent.va);
  return { ...extent, va, size: end - va, pfn };
}

/** Walks the pages of an extent along the runs of the IOMMU. */
function compare(
  extent: MemoryExtent,
  mapping: LiveMapping,
  table: IommuTable,
  differs: (va: bigint, device: bigint, cpu: bigint, bytes: bigint) => void,
): void {
  const end = extent.va + extent.size;
  for (let va = extent.va; va < end;) {
    const there = physAt(table, mapping.iova + (va - mapping.va));
    // What no run of the list tells is not known.
    if (!there) return;
    const zero = isZero(extent);
    const cpu = byteAddress(extent.pfn) + (zero ? 0n : va - extent.va);
    const most = zero && there.phys === cpu ? byteAddress(1) : there.left;
    const bytes = most < end - va ? most : end - va;
    differs(va, there.phys, cpu, bytes);
    va += bytes;
  }
}

/** The extents of a range in a state, each cut to it; what two regions show counts once. */
function extentsIn(
  { regions }: FindingContext,
  state: StepState,
  [from, to]: AddressRange,
): MemoryExtent[] {
  const all = [...regions.extents(state, from, to - from)].sort((a, b) => Number(a.va - b.va));
  const parts: MemoryExtent[] = [];
  let at = from;
  for (const extent of all) {
    const part = partOf(extent, at, to);
    if (!part) continue;
    parts.push(part);
    at = part.va + part.size;
  }
  return parts;
}

/** Parts of a range that no extent covers, the extents being in address order. */
function uncovered(extents: readonly MemoryExtent[], part: MemoryExtent): MemoryExtent[] {
  const left: MemoryExtent[] = [];
  let at = part.va;
  const end = part.va + part.size;
  const add = (to: bigint): void => {
    const rest = partOf(part, at, to);
    if (rest) left.push(rest);
  };
  for (const { va, size } of extents) {
    if (va + size <= at) continue;
    if (va >= end) break;
    add(va);
    at = va + size;
  }
  add(end);
  return left;
}

function keptText({ mapping, va, device, pages }: Differing): string {
  const iova = mapping.iova + (va - mapping.va);
  return (
    `${pagesText(pages)} from ${hex(va)} on left the process, but ${nameOf(mapping)} keeps them ` +
    `pinned: iova ${hex(iova)} still reaches the old page, frame ${hex(device >> 12n)}. Whatever the ` +
    'process gets there next, the device does not see. Unmap first and map again after it; do not ' +
    'give memory of a mapping back (a balloon must be inhibited).'
  );
}

function replacedText({ mapping, va, device, cpu, pages }: Differing): string {
  const iova = mapping.iova + (va - mapping.va);
  return (
    `${nameOf(mapping).replace('the', 'The')} does not reach ${pagesText(pages)} of the process from ` +
    `${hex(va)} on: at iova ${hex(iova)} the device has the frame ${hex(device >> 12n)}, ` +
    `the process ${hex((cpu ?? 0n) >> 12n)}. Neither sees what the other writes. Unmap the range and map it again.`
  );
}

/** Compares what a mapping has of a range, before a step and after it. */
function compareRange(
  context: FindingContext,
  mapping: LiveMapping,
  range: AddressRange,
  { gone, replaced }: { readonly gone: Tally; readonly replaced: Tally },
): void {
  const { before, state } = context;
  const { table } = state;
  if (!table) return;
  const now = extentsIn(context, state, range);
  for (const extent of now) {
    compare(extent, mapping, table, (va, device, cpu, bytes) => {
      if (device !== cpu) replaced.add({ mapping, va, device, cpu, pages: pageNumber(bytes) });
    });
  }
  const lost = extentsIn(context, before, range).filter((old) => comesBackAnew(old, context));
  for (const part of lost.flatMap((old) => uncovered(now, old))) {
    compare(part, mapping, table, (va, device, cpu, bytes) => {
      if (device === cpu) gone.add({ mapping, va, device, cpu: null, pages: pageNumber(bytes) });
    });
  }
}

/** Memory that a step takes away from a live mapping, or puts in place of what it had. */
export const staleMemory: Finding = {
  name: 'memory that the device keeps and the process does not',
  find(context) {
    const found = { gone: new Tally(), replaced: new Tally() };
    for (const [from, to] of changedMemory(context)) {
      for (const mapping of context.live.ofMemory(from, to - from)) {
        const last = mapping.va + mapping.size;
        const range = [from > mapping.va ? from : mapping.va, to < last ? to : last] as const;
        compareRange(context, mapping, range, found);
      }
    }
    const { gone, replaced } = found;
    const said = [
      ...(gone.found ? [keptText(gone.found)] : []),
      ...(replaced.found ? [replacedText(replaced.found)] : []),
    ];
    return said.length > 0 ? said.join(' ') : null;
  },
};
