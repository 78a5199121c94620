/**
 * What every pin algorithm has to keep, looked at after each step: what devices reach, what is
 * pinned, what is charged. Unlike the invariants of the model, it costs what a scenario's own pages
 * cost, and it says what went wrong in the words of a reviewer.
 */
import { pagesOf, type IovaPn, type Pfn } from '@pinfold/base';
import { IOMMU, LeafRun, type IommuDomain } from '@pinfold/iommu';
import { PG, PTE, type Memory, type MmStruct } from '@pinfold/mm';
import type { KernelVersion, VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import { DRIVER_FAULTS } from '../driver-faults.ts';
import { FolioTally } from '../folio-tally.ts';
import { lockedPages } from '../locked-pages.ts';
import { iommusOf, type Inspectable, type MachineView } from '../machine-view.ts';
import { SeenDma } from '../seen-dma.ts';
import {
  BIT_BELOW,
  looksUpExactly,
  LOST_CHARGE,
  OVERCHARGE,
  PIN_BELOW,
  STRADDLING_PIN,
} from './known-quirks.ts';
import { violation, type CheckViolation, type Invariant } from './violation.ts';

/** Pages with pins that look-ups miss. */
interface ChargedAgain {
  /** Those that are pinned at an address inside the page. */
  readonly inside: number;
  /** Those whose address lies below the mapping. */
  readonly below: number;
}

/** Audits one machine, step by step. */
export class AlgorithmAudit {
  readonly #machine: Inspectable;
  readonly #memory: Memory;
  readonly #tally: FolioTally;
  readonly #run = new LeafRun();
  /** The mappings, in the check under way. */
  readonly #dmas: VfioDma[] = [];
  readonly #seen = new Map<VfioDma, SeenDma>();
  /** Whether the kernel looks for pins at exactly the addresses of pages. */
  readonly #exact: boolean;
  /** Pages that the kernel charges again: per mapping, and per process. */
  readonly #again = new Map<VfioDma | MmStruct, ChargedAgain>();
  #chargesMayDiffer = false;
  /** Whether a charge was taken back that was never made. */
  #lostCharge = false;
  /** Pins inside pages of each mapping, summed up over all steps. */
  readonly #inside = new Map<VfioDma, number>();
  /** Whether a device has pinned a page that lies in two mappings. */
  #straddled = false;
  #found: CheckViolation | null = null;

  /**
   * @param machine a machine that has done nothing yet
   * @param kernel its kernel
   * @param tally counts for it, and may have counted for another machine; default: a new one
   */
  constructor(machine: Inspectable, kernel: KernelVersion, tally?: FolioTally) {
    this.#machine = machine;
    this.#exact = looksUpExactly(kernel);
    this.#memory = machine.inspect().memory;
    this.#tally = tally ?? new FolioTally(this.#memory.memmap);
    this.#tally.reset(this.#memory.memmap);
  }

  /**
   * What a mapping was when it was made.
   *
   * @param dma the mapping
   * @returns that, or undefined for one that is not finished, or that no IOMMU maps
   */
  seen(dma: VfioDma): SeenDma | undefined {
    return this.#seen.get(dma);
  }

  /** The folios that mappings, page tables or devices have ever had. */
  get folios(): FolioTally {
    return this.#tally;
  }

  /** Whether there were pins inside pages that algorithms may charge again, or not. */
  get chargesMayDiffer(): boolean {
    return this.#chargesMayDiffer;
  }

  /**
   * Finds out whether the recorded kernels do the same.
   *
   * @param found a violation
   * @returns it, with the rule by which they do
   */
  judged(found: CheckViolation): CheckViolation {
    if (found.known !== null) return found;
    if (found.invariant === 'crash' && this.#marksBelow()) return { ...found, known: BIT_BELOW };
    // A charge that is taken back twice brings the sum below 0 in the end.
    if (this.#lostCharge && found.invariant === 'warning') return { ...found, known: LOST_CHARGE };
    const lostPin = this.#straddled && LOST_PIN.has(found.invariant);
    return lostPin ? { ...found, known: STRADDLING_PIN } : found;
  }

  /**
   * Takes note of something that was seen inside a step; the first such thing counts.
   *
   * @param found the violation
   */
  note(found: CheckViolation): void {
    this.#found ??= found;
  }

  /**
   * Takes what was seen inside a step.
   *
   * @returns it, or null
   */
  takeNoted(): CheckViolation | null {
    const noted = this.#found;
    this.#found = null;
    return noted;
  }

  /**
   * Looks at everything after a step.
   *
   * @returns the most telling of what does not hold; null if all is well
   */
  check(): CheckViolation | null {
    const view = this.#machine.inspect();
    const iommus = iommusOf(view);
    const dmas = this.#dmas;
    dmas.length = 0;
    for (const { dmaList } of iommus) {
      for (let dma = dmaList.first(); dma; dma = dmaList.next(dma)) dmas.push(dma);
    }
    this.#forget(dmas);
    this.#lookAtPins(dmas, iommus);
    const found = this.#reach(iommus) ?? this.takeNoted() ?? this.#pins(dmas, view.files);
    this.#found = null;
    if (found) return found;
    const charges = this.#charges(dmas);
    return charges?.known === null ? charges : (this.#warnings() ?? charges);
  }

  /**
   * Looks at a machine whose process has ended.
   *
   * @returns what is left; null if nothing is
   */
  checkEnd(): CheckViolation | null {
    const { vmstat, memmap } = this.#memory;
    this.#forget([]);
    if (this.#found) return this.#found;
    if (vmstat.pinsHeld !== 0) return violation('end', left(vmstat.pinsHeld));
    for (const { pfn, order, refcount } of memmap.folios === 0 ? [] : memmap.foliosInUse()) {
      return violation('end', `folio ${hex(pfn)}:${order} is left with ${refcount} references`);
    }
    return this.#warnings();
  }

  /** Mappings that are gone, or that an IOMMU maps no longer, are looked at anew when they come. */
  #forget(dmas: readonly VfioDma[]): void {
    for (const [dma, seen] of this.#seen) {
      if (dma.iommuMapped && dmas.includes(dma)) continue;
      this.#seen.delete(dma);
      this.#lookForDirt(dma, seen);
    }
    for (const dma of dmas) {
      if (!dma.iommuMapped || this.#seen.has(dma)) continue;
      this.#seen.set(dma, new SeenDma(dma));
      this.#expectOvercharge(dma);
    }
  }

  /** The device may have written what it could write: those folios are dirty when they are unpinned. */
  #lookForDirt({ prot, iovaPn }: VfioDma, { runs }: SeenDma): void {
    if (!(prot & IOMMU.WRITE)) return;
    const { memmap } = this.#memory;
    for (const { at, pfn, npage, ram } of runs) {
      for (let i = 0; ram && i < npage;) {
        const entry = memmap.headEntryOf(pfn + i);
        if (memmap.refcount[entry] !== 0 && !(memmap.flags[entry] & PG.dirty)) {
          const where = `page ${at + i} of the mapping at iova ${iovaText(iovaPn)}`;
          const what = `${frameText(pfn + i)} (${where}) is clean, though the device could write it`;
          this.note(violation('dirty', what));
          return;
        }
        const pages = pagesOf(memmap.order[entry]);
        i += pages - ((pfn + i) % pages);
      }
    }
  }

  /** Pins inside pages: how often an attach may have failed with them, and those of two mappings. */
  #lookAtPins(dmas: readonly VfioDma[], iommus: readonly VfioIommu[]): void {
    for (const dma of dmas) {
      if (dma.pfnList.size === 0) continue;
      for (const { iovaPn, offset } of dma.pfnList) {
        if (offset === 0) continue;
        this.#inside.set(dma, (this.#inside.get(dma) ?? 0) + 1);
        if (iovaPn >= dma.iovaPn && iovaPn < dma.lastPn) continue;
        const other = iovaPn < dma.iovaPn ? iovaPn : iovaPn + 1;
        if (iommus.some(({ dmaList }) => dmaList.find(other, 1))) this.#straddled = true;
      }
    }
  }

  /** Devices' pins inside pages, which look-ups by pages miss. */
  #expectOvercharge(dma: VfioDma): void {
    if (dma.pfnList.size === 0) return;
    let [inside, below] = [0, 0];
    for (const { iovaPn, offset } of dma.pfnList) {
      if (iovaPn < dma.iovaPn) below++;
      else if (offset !== 0) inside++;
    }
    if (inside + below === 0) return;
    this.#chargesMayDiffer = true;
    for (const owner of [dma, dma.mm]) {
      const before = this.#again.get(owner) ?? { inside: 0, below: 0 };
      const after = { inside: before.inside + inside, below: before.below + below };
      this.#again.set(owner, after);
    }
  }

  /** The rule by which the kernel charges so much more; null without one. */
  #knownCharge(owner: VfioDma | MmStruct, more: number): string | null {
    const { inside, below } = this.#again.get(owner) ?? { inside: 0, below: 0 };
    const atMost = below + (this.#exact ? inside : 0);
    if (more <= 0 || more > atMost) return null;
    return this.#exact && inside > 0 ? OVERCHARGE : PIN_BELOW;
  }

  /** Whether dirty pages are logged of a mapping with a pin that begins below it: not for long. */
  #marksBelow(): boolean {
    return iommusOf(this.#machine.inspect()).some(({ dmaList }) =>
      [...dmaList].some(
        ({ bitmap, pfnList, iovaPn: first }) =>
          bitmap && [...pfnList].some(({ iovaPn }) => iovaPn < first),
      ),
    );
  }

  #reach(iommus: readonly VfioIommu[]): CheckViolation | null {
    for (const iommu of iommus) {
      for (const { domain } of iommu.domainList) {
        const found = this.#reachOf(iommu, domain);
        if (found) return found;
      }
    }
    return null;
  }

  /** Leaves and mappings, both in address order. */
  #reachOf({ dmaList }: VfioIommu, domain: IommuDomain): CheckViolation | null {
    const run = this.#run;
    let dma = dmaList.first();
    let done = 0;
    for (let from = 0; domain.nextLeaves(from, run);) {
      while (dma && run.iovaPn >= dma.iovaPn + dma.npage) {
        if (done < dma.npage) return missing(dma, done);
        dma = dmaList.next(dma);
        done = 0;
      }
      // Of leaves that go on behind the mapping, those that lie in it.
      const room = dma && run.iovaPn >= dma.iovaPn ? dma.iovaPn + dma.npage - run.iovaPn : 0;
      const npage =
        Math.min(run.leaves, Math.floor(room / pagesOf(run.order))) * pagesOf(run.order);
      if (!dma || npage <= 0) {
        const what = `the device reaches ${frameText(run.pfn)} at iova ${iovaText(run.iovaPn)}, where nothing is mapped`;
        return violation('reach', what);
      }
      from = run.iovaPn + npage;
      const at = run.iovaPn - dma.iovaPn;
      if (at > done) return missing(dma, done);
      const seen = this.#seen.get(dma);
      const other = seen ? seen.firstOther(at, run.pfn, npage) : at;
      if (other >= 0) return wrongPage(dma, other, run.pfn + (other - at), seen?.frameAt(other));
      done = at + npage;
    }
    while (dma) {
      if (done < dma.npage) return missing(dma, done);
      dma = dmaList.next(dma);
      done = 0;
    }
    return null;
  }

  /** Every folio's references and pins. */
  #pins(dmas: readonly VfioDma[], files: MachineView['files']): CheckViolation | null {
    const tally = this.#tally;
    tally.begin();
    for (const mm of this.#memory.addressSpaces) {
      for (const { start, end } of mm.vmas) {
        mm.pageTable.forEachLeaf(start, end, (_vpn, pfn, _level, bits) => {
          if (!(bits & PTE.special)) tally.addMapping(pfn);
        });
      }
    }
    for (const file of files) for (const pfn of file.cachedFolios) tally.addMapping(pfn);
    for (const dma of dmas) {
      for (const { pfn, npage, ram } of this.#seen.get(dma)?.runs ?? []) {
        if (ram) tally.addPins(pfn, npage);
      }
      if (dma.pfnList.size === 0) continue;
      for (const { pfn } of dma.pfnList) if (isPinnable(this.#memory, pfn)) tally.addPins(pfn, 1);
    }
    const wrong = tally.firstWrong();
    if (wrong) {
      const owner = ownerOf(dmas, this.#seen, wrong.pfn, wrong.order);
      return violation(wrong.pins === 0 ? 'folio' : 'pins', tally.describe(wrong, owner));
    }
    const { pinsHeld } = this.#memory.vmstat;
    const left = pinsHeld - tally.pins;
    if (left === 0) return null;
    const what = left > 0 ? `${left} pins too many are held` : `${-left} pins too few are held`;
    return violation('pins', `${what}: no mapping and no device has them`);
  }

  #charges(dmas: readonly VfioDma[]): CheckViolation | null {
    let knownOnly: CheckViolation | null = null;
    for (const dma of dmas) {
      const expected = this.#seen.get(dma)?.pinned ?? chargeOfNodes(this.#memory, dma);
      const more = dma.lockedVm - expected;
      if (more === 0) continue;
      const lost = this.#exact && -more <= (this.#inside.get(dma) ?? 0);
      const known = more < 0 ? (lost ? LOST_CHARGE : null) : this.#knownCharge(dma, more);
      const what = `the mapping at iova ${iovaText(dma.iovaPn)} is charged ${tooMany(more)}`;
      if (known === null) return violation('charge', what);
      this.#chargesMayDiffer = true;
      this.#lostCharge ||= more < 0;
      knownOnly ??= violation('charge', what, known);
    }
    for (const mm of this.#memory.addressSpaces) {
      const more = mm.lockedVm - lockedPages(mm, dmas);
      if (more === 0) continue;
      const known = this.#knownCharge(mm, more);
      const what = `the process is charged ${tooMany(more)}, which no mapping has`;
      if (known === null) return violation('charge', what);
      this.#chargesMayDiffer = true;
      knownOnly ??= violation('charge', what, known);
    }
    return knownOnly;
  }

  #warnings(): CheckViolation | null {
    for (const [at, what] of this.#memory.warnings) {
      if (!DRIVER_FAULTS.has(at)) return violation('warning', `${at}: ${what}`);
    }
    return null;
  }
}

/** What becomes of a pin that is looked up in the wrong mapping. */
const LOST_PIN: ReadonlySet<Invariant> = new Set<Invariant>(['crash', 'warning', 'end', 'pins']);

/** Without an IOMMU, each node is charged a page, unless its page is reserved. */
function chargeOfNodes(memory: Memory, { pfnList }: VfioDma): number {
  let pages = 0;
  for (const { pfn } of pfnList) {
    if (isPinnable(memory, pfn)) pages++;
  }
  return pages;
}

/** Reserved frames, a BAR's behind the end of memory for example, are neither pinned nor charged. */
function isPinnable({ memmap }: Memory, pfn: Pfn): boolean {
  return memmap.pfnValid(pfn) && !memmap.pageReserved(pfn);
}

function missing(dma: VfioDma, at: number): CheckViolation {
  return violation(
    'reach',
    `the device cannot reach iova ${iovaText(dma.iovaPn + at)}, which is mapped`,
  );
}

function wrongPage(dma: VfioDma, at: number, pfn: Pfn, expected: Pfn | undefined): CheckViolation {
  const where = `at iova ${iovaText(dma.iovaPn + at)} (page ${at} of the mapping)`;
  const right =
    expected === undefined || expected < 0 ? 'nothing is there' : `${frameText(expected)} is there`;
  return violation('reach', `the device reaches ${frameText(pfn)} ${where}, where ${right}`);
}

/** Whose pins a folio has, in words. */
function ownerOf(
  dmas: readonly VfioDma[],
  seen: ReadonlyMap<VfioDma, SeenDma>,
  pfn: Pfn,
  order: number,
): string {
  for (const dma of dmas) {
    const at = seen.get(dma)?.firstOf(pfn, pagesOf(order)) ?? -1;
    if (at >= 0) return `page ${at} of the mapping at iova ${iovaText(dma.iovaPn)}`;
    for (const node of dma.pfnList) {
      if (node.pfn >= pfn && node.pfn < pfn + pagesOf(order))
        return `a device’s page at iova ${iovaText(node.iovaPn)}`;
    }
  }
  return 'no mapping';
}

function left(pins: number): string {
  return pins === 1 ? '1 pin is left' : `${pins} pins are left`;
}

function tooMany(more: number): string {
  return `${Math.abs(more)} ${Math.abs(more) === 1 ? 'page' : 'pages'} too ${more > 0 ? 'many' : 'few'}`;
}

function frameText(pfn: Pfn): string {
  return `frame ${hex(pfn)}`;
}

function iovaText(iovaPn: IovaPn): string {
  return `0x${(BigInt(iovaPn) << 12n).toString(16)}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
