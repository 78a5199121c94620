/**
 * What every pin algorithm has to keep, looked at after each step: what devices reach, what is
 * pinned, what is charged. Unlike the invariants of the model, it costs what a scenario's own pages
 * cost, and it says what went wrong in the words of a reviewer.
 */
import { iommusOf, type Inspectable } from '@pinfold/guest';
import type { KernelVersion } from '@pinfold/kernels';
import type { Memory } from '@pinfold/mm';
import { hex } from '@pinfold/scenario';
import type { VfioDma } from '@pinfold/vfio-type1';
import { DRIVER_FAULTS } from './driver-faults.ts';
import { FolioTally } from './folio-tally.ts';
import { SeenDma } from './seen-dma.ts';
import { firstWrongCharge } from './charges.ts';
import { firstCleanFolio } from './clean-folios.ts';
import { firstWrongPins } from './folio-pins.ts';
import { PinQuirks } from './pin-quirks.ts';
import { firstWrongReach } from './reach.ts';
import { violation, type CheckViolation } from './violation.ts';

/** Audits one machine, step by step. */
export class AlgorithmAudit {
  readonly #machine: Inspectable;
  readonly #memory: Memory;
  readonly #tally: FolioTally;
  /** The mappings, in the check under way. */
  readonly #dmas: VfioDma[] = [];
  readonly #seen = new Map<VfioDma, SeenDma>();
  readonly #quirks: PinQuirks;
  #found: CheckViolation | null = null;

  /**
   * @param machine a machine that has done nothing yet
   * @param kernel its kernel
   * @param tally counts for it, and may have counted for another machine; default: a new one
   */
  constructor(machine: Inspectable, kernel: KernelVersion, tally?: FolioTally) {
    this.#machine = machine;
    this.#quirks = new PinQuirks(kernel);
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
    return this.#quirks.chargesMayDiffer;
  }

  /**
   * Finds out whether the recorded kernels do the same.
   *
   * @param found a violation
   * @returns it, with the rule by which they do
   */
  judged(found: CheckViolation): CheckViolation {
    return this.#quirks.judged(found, iommusOf(this.#machine.inspect()));
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
    this.#quirks.look(dmas, iommus);
    const found =
      firstWrongReach(iommus, this.#seen) ??
      this.takeNoted() ??
      firstWrongPins(view, dmas, this.#seen, this.#tally);
    this.#found = null;
    if (found) return found;
    const charges = firstWrongCharge(this.#memory, dmas, this.#seen, this.#quirks);
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
      this.#found ??= firstCleanFolio(this.#memory.memmap, dma, seen);
    }
    for (const dma of dmas) {
      if (!dma.iommuMapped || this.#seen.has(dma)) continue;
      this.#seen.set(dma, new SeenDma(dma));
      this.#quirks.mapped(dma);
    }
  }

  #warnings(): CheckViolation | null {
    for (const [at, what] of this.#memory.warnings) {
      if (!DRIVER_FAULTS.has(at)) return violation('warning', `${at}: ${what}`);
    }
    return null;
  }
}

function left(pins: number): string {
  return pins === 1 ? '1 pin is left' : `${pins} pins are left`;
}
