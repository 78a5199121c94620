/**
 * Choosing I/O virtual addresses for a mapping.
 *
 * @source drivers/iommu/iommufd/io_pagetable.c iopt_alloc_iova, 7.2; reference iommufd.md §4;
 * recordings 7.2-iofd n01 to n04
 */
import { Errno, PAGE_SIZE } from '@pinfold/base';
import { spanAt, type Interval, type IntervalTree } from './interval-tree.ts';
import type { IoPagetable, Placed } from './io-pagetable.ts';
import { bytes } from './traced-bytes.ts';
import { U64_MAX } from './uapi.ts';

const PAGE_BYTES = BigInt(PAGE_SIZE);
/** The largest alignment, that of a huge page. */
const HPAGE_BYTES = 2n ** 21n;

/** What a place has to be. */
interface Wanted {
  readonly length: bigint;
  readonly alignment: bigint;
  readonly pageOffset: bigint;
}

/**
 * Finds a place for a mapping: aligned as the memory and the length are, up to a huge page, so that
 * the IOMMU can use large leaves; never at 0.
 *
 * @param iopt the I/O address space
 * @param address address of the memory
 * @param length length in bytes
 * @returns the place, -EOVERFLOW for a length of half of everything, -EINVAL or -ENOSPC
 * @source drivers/iommu/iommufd/io_pagetable.c iopt_alloc_iova, 7.2
 */
export function ioptAllocIova(iopt: IoPagetable, address: bigint, length: bigint): Placed {
  const { calls, refusals } = iopt.context;
  calls.call('iopt_alloc_iova', ...bytes(address), ...bytes(length));
  if (length >= U64_MAX / 2n) {
    const check = 'iopt_alloc_iova: the length can be aligned';
    return { error: refusals.refuse(check, Errno.EOVERFLOW, { length }) };
  }
  const alignment = alignmentOf(address, length);
  const iovaAlignment = BigInt(iopt.iovaAlignment);
  if (alignment < iovaAlignment) {
    const check = 'iopt_alloc_iova: the length can be aligned';
    return { error: refusals.refuse(check, Errno.EINVAL, { alignment, iovaAlignment }) };
  }
  const wanted = { length, alignment, pageOffset: address % PAGE_BYTES };
  const iova = findPlace(iopt, wanted);
  if (iova !== null) return { iova };
  const check = 'iopt_alloc_iova: a hole is large enough';
  return { error: refusals.refuse(check, Errno.ENOSPC, { length, alignment }) };
}

function alignmentOf(address: bigint, length: bigint): bigint {
  const ofLength = length <= 1n ? 1n : 2n ** BigInt((length - 1n).toString(2).length);
  const ofAddress = address === 0n ? ofLength : address & -address;
  return [ofLength, ofAddress, HPAGE_BYTES].reduce((least, each) => (each < least ? each : least));
}

/** The first place in an allowed range, outside of mappings and reserved ranges. */
function findPlace(iopt: IoPagetable, wanted: Wanted): bigint | null {
  const first = PAGE_BYTES;
  const last = U64_MAX - PAGE_BYTES;
  const allowed =
    iopt.allowedTree.size === 0
      ? [{ start: first, last }]
      : stretches(iopt.allowedTree, first, last, true);
  for (const range of allowed) {
    const start = startIn(range.start, range.last, wanted);
    if (start === null) continue;
    for (const hole of stretches(iopt.areaTree, start, range.last, false)) {
      const free = startIn(hole.start, hole.last, wanted);
      if (free === null) continue;
      for (const place of stretches(iopt.reservedTree, free, hole.last, false)) {
        const found = startIn(place.start, place.last, wanted);
        if (found !== null) return found;
      }
    }
  }
  return null;
}

/** The stretches of a range that a tree covers, or does not cover. */
function* stretches<T extends Interval<bigint>>(
  tree: IntervalTree<bigint, T>,
  first: bigint,
  last: bigint,
  used: boolean,
): Generator<Interval<bigint>, void> {
  for (let at = first; at <= last;) {
    const span = spanAt(tree, at, last);
    if (span.used === used) yield { start: at, last: span.last };
    at = span.last + 1n;
  }
}

/** Where in a range a mapping may begin; null if it is too small. __alloc_iova_check_range. */
function startIn(
  start: bigint,
  last: bigint,
  { length, alignment, pageOffset }: Wanted,
): bigint | null {
  if (last < start || last - start < length - 1n) return null;
  const aligned = (((start + alignment - 1n) / alignment) * alignment) | pageOffset;
  if (aligned >= last || last - aligned < length - 1n) return null;
  return aligned;
}
