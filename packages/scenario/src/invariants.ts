/**
 * What must hold in the model after every step, whatever the step was: an audit that counts anew,
 * from the page tables, the page caches and the mappings, what the model has kept count of.
 *
 * Left out: the order of unmap, IOTLB flush and unpin inside one step, which only somebody who sees
 * the calls can judge.
 */
import { offsetIn, pagesOf, PMD_ORDER, PUD_ORDER, type Pfn, type Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import {
  BuddyAllocator,
  GUP_PIN_COUNTING_BIAS,
  PAGES_PER_SECTION,
  PG,
  PTE,
  VM,
  type MappedFile,
  type Memory,
  type MemoryRange,
  type MmStruct,
  type Vma,
  type ZoneName,
} from '@pinfold/mm';
import type { Operation } from './operation.ts';
import type { VfioContainer, VfioDma, VfioIommu } from '@pinfold/vfio-type1';

/** What an audit looks at. */
export interface MachineView {
  /** Physical memory. */
  readonly ranges: readonly MemoryRange[];
  /** Whether the kernel holds pages here and there, found only when memory is first used. */
  readonly fragmented: boolean;
  /** Memory map, statistics, address spaces. */
  readonly memory: Memory;
  /** Every file and memfd that was ever opened. */
  readonly files: readonly MappedFile[];
  /** The open containers: usually one. */
  readonly containers: readonly VfioContainer[];
}

/** A machine that can be looked at. */
export interface Inspectable {
  /**
   * Shows the machine.
   *
   * @returns its state now
   */
  inspect(): MachineView;
}

/** An invariant that does not hold. */
export interface Violation {
  /** Which one: a few words, the same for every case of it. */
  readonly invariant: string;
  /** What was found instead. */
  readonly what: string;
}

/** Pages of a mapping with consecutive frames, all pinned or all of a device. */
interface FrameRunOfDma {
  /** First page, counted from the mapping's start. */
  readonly off: number;
  readonly pfn: Pfn;
  npage: number;
  readonly pinned: boolean;
}

/** A mapping as it was when it was first seen: what the process's memory was then. */
interface SeenDma {
  readonly mm: MmStruct;
  readonly vaddr: Vpn;
  readonly npage: number;
  readonly runs: readonly FrameRunOfDma[];
  /** Its pages that are pinned for an IOMMU. */
  readonly pinned: number;
  /** Whether an IOMMU maps it; else only what devices have pinned of it is. */
  readonly iommuMapped: boolean;
  /** Per page: 1 as long as the process has had it mapped at every audit since. */
  readonly attached: Uint8Array;
}

const ZONES: readonly ZoneName[] = ['DMA32', 'NORMAL', 'MOVABLE'];
/** First page frame above DMA32. */
const DMA32_END = 2 ** 20;
/** The warning that a device has pins of a mapping that goes: their frames and charge are lost. */
const LEAK = 'vfio_remove_dma';
/** What the kernel warns of when the driver of a device calls it wrongly. */
const DRIVER_FAULTS: ReadonlySet<string> = new Set([
  ...(['vfio_pin_pages', 'vfio_unpin_pages', 'vfio_dma_rw'] as const),
  ...(['vfio_device_container_unpin_pages', 'vfio_iommu_type1_unpin_pages'] as const),
]);
/** Cases of one audit that are told; more say nothing new. */
const MAX_VIOLATIONS = 20;

/** Audits one machine, step by step; it remembers what mappings looked like when they were made. */
export class InvariantAudit {
  readonly #machine: Inspectable;
  readonly #seen = new WeakMap<VfioDma, SeenDma>();
  /** Free pages when nothing was in use yet. */
  readonly #freeAtFirst: ReadonlyMap<ZoneName, number>;
  /** Pages that the kernel was found to hold, in fragmented memory. */
  readonly #held = new Map<ZoneName, number>();
  readonly #hugePagesAtFirst: ReadonlyMap<number, number>;
  readonly #entryLimits = new WeakMap<VfioIommu, number>();
  /** What a mapping may be charged too much, in pages; and whose memory it is. */
  readonly #overcharge = new WeakMap<VfioDma, number>();
  readonly #overcharged = new WeakSet<MmStruct>();
  #violations: Violation[] = [];
  /** Per state entry of the memory map: references of mappings, and pins, as they ought to be. */
  #mappings = new Int32Array(0);
  /** State entries of huge pages of files, and of mappings that have reservations of their own. */
  readonly #kept = new Set<number>();
  #pins = new Int32Array(0);
  /** Entries that map a page of a large anonymous folio one by one, per page. */
  readonly #mapcount = new Map<Pfn, number>();

  /** @param machine a machine that has done nothing yet */
  constructor(machine: Inspectable) {
    this.#machine = machine;
    const { memory } = machine.inspect();
    this.#freeAtFirst = freePages(memory);
    this.#hugePagesAtFirst = new Map(
      [PMD_ORDER, PUD_ORDER].map((order) => [order, memory.hugetlbPool(order)?.freeHugePages ?? 0]),
    );
  }

  /**
   * Looks at everything, after a step. A mapping must be looked at right after the step that made
   * it: the process's page table is what it is compared with from then on.
   *
   * @param operation what the step did: an mmap may put other pages where some were
   * @returns what does not hold; empty if all is well
   */
  check(operation?: Operation): readonly Violation[] {
    this.#violations = [];
    const view = this.#machine.inspect();
    const iommus = iommusOf(view);
    const dmas = iommus.flatMap(({ dmaList }) => [...dmaList]);
    const leak = view.memory.warnings.get(LEAK);
    // Pins that nobody gives back spoil every count.
    if (leak !== undefined) {
      this.#fail('no kernel warning', `${LEAK}: ${leak}`);
      return this.#violations;
    }
    this.#count(view, dmas, operation?.op === 'addgroup' || operation?.op === 'addext');
    this.#checkFolios(view);
    for (const mm of view.memory.addressSpaces) this.#checkEntries(mm);
    this.#checkLockedVm(view, dmas);
    for (const iommu of iommus) this.#checkContainer(iommu, operation?.op === 'mmap');
    for (const [at, what] of view.memory.warnings) {
      if (!DRIVER_FAULTS.has(at)) this.#fail('no kernel warning', `${at}: ${what}`);
    }
    return this.#violations;
  }

  /**
   * Looks at a machine whose process has ended: nothing may be left.
   *
   * @returns what is left; empty if all is well
   */
  checkEnd(): readonly Violation[] {
    this.check();
    const { memory } = this.#machine.inspect();
    if (memory.warnings.has(LEAK)) return this.#violations;
    const { pinsHeld } = memory.vmstat;
    if (pinsHeld !== 0) this.#fail('no pin is left at the end', `${pinsHeld} pages`);
    for (const { pfn, order, refcount } of memory.memmap.foliosInUse()) {
      this.#fail('no folio is left at the end', `${pfn}+${order} with ${refcount} references`);
    }
    for (const order of this.#hugePagesAtFirst.keys()) {
      const left = memory.hugetlbPool(order)?.resvHugePages ?? 0;
      if (left !== 0) this.#fail('no reservation is left at the end', `${left} of order ${order}`);
    }
    if (memory.addressSpaces.size > 0) this.#fail('no address space is left at the end', '');
    return this.#violations;
  }

  #fail(invariant: string, what: string): void {
    if (this.#violations.length < MAX_VIOLATIONS) this.#violations.push({ invariant, what });
  }

  /** Counts what the folios' counts ought to be: mappings, page caches, pins. */
  #count({ memory, files }: MachineView, dmas: readonly VfioDma[], joins: boolean): void {
    const { memmap } = memory;
    const { length } = memmap.refcount;
    this.#mappings =
      this.#mappings.length < length ? new Int32Array(length) : this.#mappings.fill(0);
    this.#pins = this.#pins.length < length ? new Int32Array(length) : this.#pins.fill(0);
    this.#mapcount.clear();
    this.#kept.clear();
    for (const mm of memory.addressSpaces) this.#countEntries(mm);
    for (const file of files) {
      for (const pfn of file.cachedFolios) {
        const head = memmap.headEntryOf(pfn);
        this.#mappings[head]++;
        this.#kept.add(head);
      }
    }
    let held = 0;
    for (const dma of dmas) {
      const seen = this.#seenDma(dma);
      held += seen.pinned + dma.pfnList.size;
      for (const run of seen.runs) if (run.pinned) this.#countPins(memory, run);
      this.#countExternal(memory, dma, joins);
    }
    const { pinsHeld } = memory.vmstat;
    if (held !== pinsHeld) {
      this.#fail('pins acquired - released are those of the mappings', `${pinsHeld}, not ${held}`);
    }
  }

  #countEntries({ vmas, pageTable, memory: { memmap } }: MmStruct): void {
    for (const { start, end, flags } of vmas) {
      const reserves = (flags & (VM.HUGETLB | VM.SHARED | VM.NORESERVE)) === VM.HUGETLB;
      pageTable.forEachLeaf(start, end, (vpn, pfn, level, bits) => {
        if (bits & PTE.special) return;
        const head = memmap.headEntryOf(pfn);
        this.#mappings[head]++;
        if (reserves) this.#kept.add(head);
        if (memmap.order[head] > PMD_ORDER * level) {
          this.#mapcount.set(pfn, (this.#mapcount.get(pfn) ?? 0) + 1);
        }
        if (memmap.refcount[head] <= 0 || memmap.order[head] < PMD_ORDER * level) {
          this.#fail('an entry maps a folio in use', `page ${vpn}, frame ${pfn}, level ${level}`);
        }
      });
    }
  }

  /** Every node of a page that devices have pinned holds one pin, however often they have. */
  #countExternal(memory: Memory, dma: VfioDma, joins: boolean): void {
    let inside = 0;
    for (const { pfn, offset, refCount, iovaPn } of dma.pfnList) {
      this.#countPins(memory, { off: 0, pfn, npage: 1, pinned: true });
      if (offset !== 0) inside++;
      if (refCount < 1) this.#fail('a pinned page has a reference', `iova page ${iovaPn}`);
    }
    if (inside === 0 || !joins) return;
    this.#overcharge.set(dma, inside + (this.#overcharge.get(dma) ?? 0));
    this.#overcharged.add(dma.mm);
  }

  /** A folio has one pin per page of it that a mapping pinned. */
  #countPins({ memmap }: Memory, { pfn, npage }: FrameRunOfDma): void {
    for (let at = pfn; at < pfn + npage;) {
      const head = memmap.headEntryOf(at);
      const order = memmap.order[head];
      const pages = Math.min(pagesOf(order) - offsetIn(at, order), pfn + npage - at);
      this.#pins[head] += pages;
      if (!memmap.longtermPinnable(at)) this.#fail('no longterm pin in movable memory', `${at}`);
      at += pages;
    }
  }

  /** Every folio's counts, and that free memory and folios in use are all the memory there is. */
  #checkFolios({ memory, ranges, fragmented }: MachineView): void {
    const { sectionBase, sectionStride, refcount, flags, order } = memory.memmap;
    const [mappings, pins] = [this.#mappings, this.#pins];
    const inUse = new Map<ZoneName, number>();
    const hugeInUse = new Map<number, number>();
    const hugeDropped = new Map<number, number>();
    for (let section = 0; section < sectionBase.length; section++) {
      const base = sectionBase[section];
      const stride = sectionStride[section];
      const end = base < 0 ? base : base + (PAGES_PER_SECTION >>> stride);
      for (let entry = base; entry < end; entry++) {
        if ((refcount[entry] | mappings[entry] | pins[entry]) === 0) continue;
        const pfn = section * PAGES_PER_SECTION + ((entry - base) << stride);
        this.#checkFolio(memory, pfn, entry);
        if (flags[entry] & PG.hugetlb) {
          add(hugeInUse, order[entry], 1);
          if (!this.#kept.has(entry)) add(hugeDropped, order[entry], 1);
        } else add(inUse, zoneOf(ranges, pfn), pagesOf(order[entry]));
      }
    }
    this.#checkFree(memory, inUse, fragmented);
    this.#checkHugePools(memory, hugeInUse, hugeDropped);
  }

  #checkFolio({ memmap }: Memory, pfn: Pfn, entry: number): void {
    const large = memmap.order[entry] > 0;
    const [mappings, pins] = [this.#mappings[entry], this.#pins[entry]];
    const refs = mappings + pins * (large ? 1 : GUP_PIN_COUNTING_BIAS);
    if (memmap.refcount[entry] !== refs) {
      this.#fail(
        'references are mappings, page cache and pins',
        `folio ${pfn}+${memmap.order[entry]} has ${memmap.refcount[entry]}, not ${refs}`,
      );
    }
    if (memmap.pincount[entry] !== (large ? pins : 0)) {
      this.#fail(
        'pincounts of large folios are exact',
        `folio ${pfn}+${memmap.order[entry]} has ${memmap.pincount[entry]}, not ${pins}`,
      );
    }
  }

  #checkFree(memory: Memory, inUse: ReadonlyMap<ZoneName, number>, fragmented: boolean): void {
    for (const [zone, free] of freePages(memory)) {
      const held = (this.#freeAtFirst.get(zone) ?? 0) - free - (inUse.get(zone) ?? 0);
      const before = this.#held.get(zone) ?? 0;
      this.#held.set(zone, held);
      if (fragmented ? held >= before : held === 0) continue;
      this.#fail(
        'free pages and pages in use are all pages',
        `${zone}: ${free} free, ${inUse.get(zone) ?? 0} in use, ${held} lost (${before} before)`,
      );
    }
  }

  /** What page-table entries may say: write access, and to whom anonymous pages belong. */
  #checkEntries(mm: MmStruct): void {
    for (const vma of mm.vmas) {
      mm.pageTable.forEachLeaf(vma.start, vma.end, (vpn, pfn, level, bits) => {
        const end = vpn + pagesOf(PMD_ORDER * level);
        if (vpn < vma.start || end > vma.end) {
          this.#fail('no entry reaches over the end of its VMA', `page ${vpn}, level ${level}`);
        }
        this.#checkEntry(mm, vma, vpn, pfn, bits);
      });
    }
  }

  #checkEntry({ memory: { memmap } }: MmStruct, vma: Vma, vpn: Vpn, pfn: Pfn, bits: number): void {
    const write = (bits & PTE.write) !== 0;
    if (write && (vma.flags & VM.WRITE) === 0) {
      this.#fail('no entry is writable in a VMA that is not', `page ${vpn}`);
    }
    if (bits & PTE.special) return;
    const head = memmap.headEntryOf(pfn);
    const anon = (memmap.flags[head] & PG.anon) !== 0;
    const exclusive = (bits & PTE.anonExclusive) !== 0;
    if (write && (vma.flags & VM.SHARED) === 0 && !exclusive) {
      this.#fail('a writable page of a private mapping is exclusive', `page ${vpn}, frame ${pfn}`);
    }
    if (!exclusive) return;
    const mappings = this.#mapcount.get(pfn) ?? this.#mappings[head];
    if (!anon) this.#fail('an exclusive page is anonymous', `page ${vpn}, frame ${pfn}`);
    else if (mappings !== 1) {
      this.#fail('an exclusive page is mapped once', `page ${vpn}, frame ${pfn}: ${mappings}`);
    }
  }

  /** locked_vm is what mappings have charged, and what is mlocked. */
  #checkLockedVm({ memory }: MachineView, dmas: readonly VfioDma[]): void {
    for (const mm of memory.addressSpaces) {
      let pages = 0;
      for (const dma of dmas) if (dma.mm === mm) pages += dma.lockedVm;
      for (const { flags, start, end } of mm.vmas) if (flags & VM.LOCKED) pages += end - start;
      // A charge that is never given back is left when its mapping has gone.
      const isRight = this.#overcharged.has(mm) ? mm.lockedVm >= pages : mm.lockedVm === pages;
      if (!isRight) {
        this.#fail('locked_vm is the charge of mappings and mlock', `${mm.lockedVm}, not ${pages}`);
      }
    }
  }

  /**
   * A page whose mapping dropped it is reserved again, and becomes free when the last pin, or the
   * last child that has it too, lets go of it.
   */
  #checkHugePools(
    memory: Memory,
    inUse: ReadonlyMap<number, number>,
    dropped: ReadonlyMap<number, number>,
  ): void {
    for (const [order, all] of this.#hugePagesAtFirst) {
      const pool = memory.hugetlbPool(order);
      if (!pool) continue;
      const { freeHugePages, resvHugePages } = pool;
      if (freeHugePages + (inUse.get(order) ?? 0) !== all) {
        const what = `${freeHugePages} free, ${inUse.get(order) ?? 0} in use, of ${all}`;
        this.#fail('a huge page is free or in use', what);
      }
      const comingFree = freeHugePages + (dropped.get(order) ?? 0);
      if (resvHugePages < 0 || resvHugePages > comingFree) {
        const what = `${resvHugePages} reserved, ${comingFree} free or coming free, order ${order}`;
        this.#fail('reserved huge pages are free, or will be', what);
      }
    }
  }

  #checkContainer(iommu: VfioIommu, remapped: boolean): void {
    const { dmaList, dmaAvail, domainList } = iommu;
    const limit = this.#entryLimits.get(iommu) ?? dmaAvail + dmaList.size;
    this.#entryLimits.set(iommu, limit);
    if (dmaAvail + dmaList.size !== limit) {
      this.#fail('entries left and mappings are the limit', `${dmaAvail} + ${dmaList.size}`);
    }
    const invalid = [...dmaList].filter(({ vaddrInvalid }) => vaddrInvalid).length;
    if (iommu.vaddrInvalidCount !== invalid) {
      const what = `${iommu.vaddrInvalidCount}, not ${invalid}`;
      this.#fail('mappings without vaddr are counted', what);
    }
    const groups = domainList.reduce((sum, { groupList }) => sum + groupList.length, 0);
    if (iommu.numNonPinnedGroups + iommu.pinnedPageDirtyScope.size !== groups) {
      this.#fail('groups are counted by dirty scope', `${iommu.numNonPinnedGroups} of ${groups}`);
    }
    for (const dma of dmaList) this.#checkDma(iommu, dma, remapped);
    for (const domain of domainList) this.#checkLeaves(iommu, domain.domain.leaves());
  }

  #checkDma(iommu: VfioIommu, dma: VfioDma, remapped: boolean): void {
    const seen = this.#seenDma(dma);
    const { iovaPn, npage, bitmap } = dma;
    if (npage !== seen.npage) this.#fail('a mapping keeps its size', `${npage}, not ${seen.npage}`);
    this.#checkCharge(dma, seen);
    if ((bitmap !== null) !== iommu.dirtyPageTracking || (bitmap && bitmap.bits < npage)) {
      this.#fail('a mapping has a bitmap while dirty pages are tracked', `at ${iovaPn}`);
    }
    const usable = iommu.iovaList.some(
      ({ start, last }) => start <= iovaPn && iovaPn + npage - 1 <= last,
    );
    // Addresses matter to an IOMMU only.
    if (!usable && seen.iommuMapped)
      this.#fail('a mapping lies in usable addresses', `at ${iovaPn}+${npage}`);
    this.#checkOwner(seen, remapped);
  }

  /**
   * Behind an IOMMU a mapping is charged the pages that are pinned for it: what devices pin as well costs
   * nothing more. Else it is charged one page per node.
   *
   * Up to 6.16, pins at addresses inside a page are not found when a group attaches: their pages are
   * charged again, each time (recordings y18, y29, u02).
   */
  #checkCharge(dma: VfioDma, { iommuMapped, pinned }: SeenDma): void {
    const { iovaPn, lockedVm, pfnList } = dma;
    const expected = iommuMapped ? pinned : pfnList.size;
    const most = expected + (this.#overcharge.get(dma) ?? 0);
    if (lockedVm >= expected && lockedVm <= most) return;
    this.#fail('a mapping is charged its pins', `at ${iovaPn}: ${lockedVm}, not ${expected}`);
  }

  /**
   * A page that the process has mapped without a break since it was mapped for DMA is the one that
   * the device sees; an anonymous one belongs to the process alone.
   */
  #checkOwner(seen: SeenDma, remapped: boolean): void {
    const { mm, vaddr, npage, attached } = seen;
    // Of a mapping that was not whole when it was first seen, that has been told.
    if (mm.mmUsers === 0 || !seen.iommuMapped || !isWhole(seen)) return;
    let next = 0;
    let run = 0;
    mm.pageTable.forEachLeaf(vaddr, vaddr + npage, (vpn, pfn, level, bits) => {
      const from = Math.max(0, vpn - vaddr);
      const to = Math.min(npage, vpn + pagesOf(PMD_ORDER * level) - vaddr);
      attached.fill(0, next, from);
      next = to;
      for (let off = from; off < to; off++) {
        while (off >= seen.runs[run].off + seen.runs[run].npage) run++;
        if (attached[off] === 0) continue;
        const { pfn: first, off: start, pinned } = seen.runs[run];
        const frame = pfn + (vaddr + off - vpn);
        if (frame !== first + (off - start)) {
          attached[off] = 0;
          const what = `page ${vaddr + off}: ${frame}, not ${first + (off - start)}`;
          if (!remapped) this.#fail('process and device see the same page', what);
        } else if (pinned) this.#checkOwned(mm, vaddr + off, frame, bits);
      }
    });
    attached.fill(0, next);
  }

  #checkOwned({ memory: { memmap } }: MmStruct, vpn: Vpn, pfn: Pfn, bits: number): void {
    if (bits & (PTE.special | PTE.anonExclusive)) return;
    if ((memmap.flags[memmap.headEntryOf(pfn)] & PG.anon) === 0) return;
    this.#fail('a pinned anonymous page is exclusive', `page ${vpn}, frame ${pfn}`);
  }

  /** The leaves of a domain, in address order, are the mappings: their pages, frames and access. */
  #checkLeaves(
    iommu: VfioIommu,
    leaves: Iterable<{ iovaPn: number; pfn: Pfn; order: number; prot: number }>,
  ): void {
    const rule = 'the leaves of a domain are the mappings';
    let dma = iommu.dmaList.first();
    let done = 0;
    let at = 0;
    for (const { iovaPn, pfn, order, prot } of leaves) {
      if (dma?.npage === done) {
        dma = iommu.dmaList.next(dma);
        done = at = 0;
      }
      if (!dma || iovaPn !== dma.iovaPn + done || done + pagesOf(order) > dma.npage) {
        this.#fail(rule, `a leaf at ${iovaPn}+${pagesOf(order)}`);
        return;
      }
      const { runs } = this.#seenDma(dma);
      while (at + 1 < runs.length && runs[at + 1].off <= done) at++;
      const expected = runs[at] ? runs[at].pfn + (done - runs[at].off) : -1;
      const inRun = runs[at] && done + pagesOf(order) <= runs[at].off + runs[at].npage;
      // Hardware may be unable to refuse reads of what it may write.
      const access =
        (prot & dma.prot) === dma.prot && (prot | IOMMU.READ) === (dma.prot | IOMMU.READ);
      if (pfn !== expected || !inRun || !access) {
        this.#fail(rule, `${iovaPn} leads to ${pfn}/${prot}, not ${expected}/${dma.prot}`);
      }
      done += pagesOf(order);
    }
    if (dma && (done !== dma.npage || iommu.dmaList.next(dma))) {
      this.#fail(rule, `no leaf at ${dma.iovaPn + done}`);
    }
  }

  /** A mapping as it was when it was made, or when an IOMMU came or went. */
  #seenDma(dma: VfioDma): SeenDma {
    const known = this.#seen.get(dma);
    if (known?.iommuMapped === dma.iommuMapped) return known;
    const seen = readDma(dma);
    this.#seen.set(dma, seen);
    if (seen.iommuMapped && !isWhole(seen))
      this.#fail('all pages of a new mapping are there', `at ${dma.iovaPn}`);
    return seen;
  }
}

/** What the process's page table maps in the range of a mapping. */
function readDma({ mm, vaddr, npage, iommuMapped }: VfioDma): SeenDma {
  const runs: FrameRunOfDma[] = [];
  if (!iommuMapped) {
    return { mm, vaddr, npage, runs, pinned: 0, iommuMapped, attached: new Uint8Array(0) };
  }
  let pinned = 0;
  for (const vma of mm.vmas.overlapping(vaddr, vaddr + npage)) {
    const isPinned = (vma.flags & VM.PFNMAP) === 0;
    const [start, end] = [Math.max(vaddr, vma.start), Math.min(vaddr + npage, vma.end)];
    mm.pageTable.forEachLeaf(start, end, (vpn, pfn, level) => {
      const from = Math.max(start, vpn);
      const n = Math.min(vpn + pagesOf(PMD_ORDER * level), end) - from;
      const last = runs.at(-1);
      const frame = pfn + (from - vpn);
      if (isPinned) pinned += n;
      const off = from - vaddr;
      const follows = last && last.off + last.npage === off && last.pfn + last.npage === frame;
      if (follows && last.pinned === isPinned) last.npage += n;
      else runs.push({ off, pfn: frame, npage: n, pinned: isPinned });
    });
  }
  return { mm, vaddr, npage, runs, pinned, iommuMapped, attached: new Uint8Array(npage).fill(1) };
}

/** Whether the process had every page of it. */
function isWhole({ npage, runs }: SeenDma): boolean {
  return runs.reduce((sum, run) => sum + run.npage, 0) === npage;
}

function iommusOf({ containers }: MachineView): VfioIommu[] {
  return containers.filter((container) => container.tryGetInfo().info).map(({ iommu }) => iommu);
}

function freePages({ frames }: Memory): ReadonlyMap<ZoneName, number> {
  if (!(frames instanceof BuddyAllocator)) return new Map();
  return new Map(ZONES.map((zone) => [zone, frames.freePages(zone)]));
}

function zoneOf(ranges: readonly MemoryRange[], pfn: Pfn): ZoneName {
  const range = ranges.find(
    (candidate) => pfn >= candidate.pfn && pfn < candidate.pfn + candidate.npage,
  );
  if (range?.zone === 'movable') return 'MOVABLE';
  return pfn < DMA32_END ? 'DMA32' : 'NORMAL';
}

function add<Key>(counts: Map<Key, number>, key: Key, n: number): void {
  counts.set(key, (counts.get(key) ?? 0) + n);
}
