/**
 * The pin step of the extent algorithm: extents are pinned, tested against the limit one by one, and
 * charged together.
 *
 * What fails on the way must fail as if chunk after chunk were pinned and mapped: only when everything
 * before it has been mapped. So the extent that the failing page would have gone on with is released,
 * the extents before it are handed on, and the error waits.
 *
 * @source reference strategies.md (j)
 */
import { Slot, type Extents, type IovaPn, type Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { exceedsMemlock, pinUserExtents, unpinExtents, type MemMap } from '@pinfold/mm';
import { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { chargeChunk, overLimit, PinnedChunk, refusedByGup } from './pin-chunk.ts';
import { pfnsWithoutGup } from './vaddr-get-pfns.ts';
import type { VfioIommu } from './vfio-iommu.ts';
import { vpfnPages } from './vpfn-pages.ts';

/** Extents of one pin step: 64 KiB where all frames are below 8 TiB. */
const SCRATCH_EXTENTS = 8192;
/** Blocks of that size that a container keeps for the next mapping. */
const MAX_SPARE = 4;

/** Extents that are pinned and charged, and the error that ended them. */
export class PinnedExtents {
  /** The extents. Device memory is in them too, without pins. */
  extents: Extents;
  /** Their pages. */
  pages = 0;
  /** Of those, pages of memory. */
  memoryPages = 0;
  /** Extents of device memory. */
  devices = 0;
  /** Their charge. */
  readonly charge: PinnedChunk = new PinnedChunk();
  /** Why the page behind them could not be had: a negative errno, or 0. */
  error = 0;
  /** Whether the extent behind them would exceed the limit. */
  exceeds = false;
  /** By how many pages more the process would have been charged for it. */
  excess = 0;

  /** Gets the frames of device memory. */
  readonly batch: VfioBatch;
  readonly #memmap: MemMap;
  readonly #spare: Extents[] = [];

  /**
   * @param memmap memory map
   * @param capacity extents that fit
   */
  constructor(memmap: MemMap, capacity: number) {
    this.#memmap = memmap;
    this.extents = memmap.extents(capacity);
    this.batch = new VfioBatch(memmap.pageArray(1));
  }

  /** Forgets everything. */
  clear(): void {
    this.extents.clear();
    this.pages = this.memoryPages = this.devices = this.error = this.excess = 0;
    this.exceeds = false;
  }

  /**
   * The extents, to be kept: as they are if they fill most of their room, else a copy without any.
   *
   * @returns extents that are the caller's
   */
  take(): Extents {
    const { extents } = this;
    const { count, capacity } = extents;
    if (4 * count < 3 * capacity) return extents.compact();
    this.extents = this.#spare.pop() ?? this.#memmap.extents(capacity);
    return extents;
  }

  /**
   * Gives extents back that {@link take} has returned, so that their room is used again.
   *
   * @param extents the extents
   */
  giveBack(extents: Extents): void {
    if (extents.capacity !== this.extents.capacity || this.#spare.length === MAX_SPARE) return;
    this.#spare.push(extents);
  }
}

/**
 * A container's extents on their way from the pin step into its IOMMUs: one array for all mappings.
 *
 * @param iommu the container's state
 * @returns no extents, but room for many
 */
export function scratchExtents(iommu: VfioIommu): PinnedExtents {
  const known = iommu.pinScratch;
  const pins =
    known instanceof PinnedExtents
      ? known
      : new PinnedExtents(iommu.memory.memmap, SCRATCH_EXTENTS);
  iommu.pinScratch = pins;
  pins.clear();
  return pins;
}

/**
 * Pins and charges as many extents as fit.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr first virtual page
 * @param npage pages wanted, at least 1
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param pins gets the extents; {@link waitingError} tells the error that ended them
 * @returns pages pinned, at least 1; or a negative errno if none are
 * @source reference strategies.md (j)
 */
export function pinExtents(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  pins: PinnedExtents,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.pinPagesRemoteCalls, 1);
  tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
  pins.error = fill(iommu, dma, vaddr, npage, limit, pins);
  keepWithinLimit(iommu, dma, vaddr - dma.vaddr + dma.iovaPn, limit, pins);
  const ret = pins.pages > 0 ? charge(iommu, dma, pins) : waitingError(iommu, dma, limit, pins);
  tracer?.exit('vfio_pin_pages_remote', ret);
  return ret;
}

/**
 * The error that ended some extents, now that it is due.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @param pins the extents
 * @returns a negative errno, or 0
 */
export function waitingError(
  iommu: VfioIommu,
  dma: VfioDma,
  limit: number,
  pins: PinnedExtents,
): number {
  if (pins.exceeds) return overLimit(iommu, dma, 0, pins.excess, limit);
  return pins.error < 0 ? refusedByGup(iommu, dma, pins.error) : 0;
}

/** Charges the extents at once; returns their pages, or a negative errno with all of them released. */
function charge(iommu: VfioIommu, dma: VfioDma, pins: PinnedExtents): number {
  const ret = chargeChunk(iommu, dma, pins.charge);
  if (ret === 0) return pins.pages;
  releaseFrom(iommu, dma, pins.extents, 0);
  return ret;
}

/**
 * Unpins extents that will not be part of the mapping.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param extents the extents
 * @param from index of the first to be released; what is before it stays
 * @returns pages unpinned
 */
export function releaseFrom(
  iommu: VfioIommu,
  dma: VfioDma,
  extents: Extents,
  from: number,
): number {
  const dirty = (dma.prot & IOMMU.WRITE) !== 0;
  const pages = unpinExtents(iommu.memory, extents, from, extents.count, dirty);
  extents.count = from;
  return pages;
}

/** Pins until the extents are full, the range ends, or a page cannot be had: returns its errno. */
function fill(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  limit: number,
  pins: PinnedExtents,
): number {
  const { mm, pfnList, lockCap } = dma;
  const write = (dma.prot & IOMMU.WRITE) !== 0;
  const { extents, batch } = pins;
  // One page more than the limit allows shows that it is exceeded: none are pinned beyond.
  let room = lockCap ? Infinity : Math.max(0, limit - mm.lockedVm) + pfnList.size + 1;
  while (pins.pages < npage && room > 0 && !extents.full) {
    const at = vaddr + pins.pages;
    const left = npage - pins.pages;
    const got = pinUserExtents(mm, at, Math.min(left, room), write, extents);
    if (got > 0) {
      pins.pages += got;
      pins.memoryPages += got;
      room -= got;
    } else if (!extents.full) {
      const pfns = pfnsWithoutGup(iommu, dma, at, left, batch, got);
      if (pfns < 0) return pfns;
      const { count } = extents;
      if (!extents.add(batch.pfn, pfns, false)) break;
      pins.pages += pfns;
      pins.devices += extents.count - count;
    }
  }
  return 0;
}

/**
 * Tests extent by extent whether the process may be charged for it, less the pages that devices have
 * pinned, and releases what it may not; and what a page that could not be had would have gone on with.
 */
function keepWithinLimit(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  pins: PinnedExtents,
): void {
  const { extents, charge: chunk, memoryPages } = pins;
  const room = dma.lockCap ? Infinity : limit - dma.mm.lockedVm;
  const below = !dma.lockCap && dma.mm.lockedVm < 0;
  if (dma.pfnList.root !== null || pins.error < 0 || memoryPages > room || below) {
    testEach(iommu, dma, iovaPn, limit, pins);
    return;
  }
  // All of them pass, so the tests need not be made one by one. In an empty tree a look-up is the
  // test of its root.
  const memory = extents.count - pins.devices;
  iommu.counters.add(Slot.vpfnLookups, memory);
  iommu.counters.add(Slot.limitTests, memory);
  chunk.lockAcct = memoryPages;
}

/** The tests, one by one. */
function testEach(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  limit: number,
  pins: PinnedExtents,
): void {
  const { extents, charge: chunk } = pins;
  const { count, npage } = extents;
  let kept = 0;
  let pages = 0;
  let acct = 0;
  let more = 0;
  let tests = 0;
  for (; kept < count; kept++) {
    const length = npage[kept];
    more = length < 0 ? 0 : length - vpfnPages(iommu, dma, iovaPn + pages, length);
    if (more !== 0) tests++;
    if (more !== 0 && !dma.lockCap && exceedsMemlock(dma.mm.lockedVm + acct + more, limit)) break;
    acct += more;
    pages += Math.abs(length);
  }
  iommu.counters.add(Slot.limitTests, tests);
  pins.exceeds = kept < count;
  pins.excess = more;
  if (!pins.exceeds && pins.error < 0 && count > 0) {
    kept--;
    acct -= more;
    pages -= Math.abs(npage[kept]);
  }
  pins.pages = pages;
  chunk.lockAcct = acct;
  if (kept < count) releaseFrom(iommu, dma, extents, kept);
}
