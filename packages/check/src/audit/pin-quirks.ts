/**
 * Which of the kernels' own faults a machine has met: all come of pins at addresses inside pages,
 * which look-ups by pages miss.
 */
import type { KernelVersion } from '@pinfold/kernels';
import type { MmStruct } from '@pinfold/mm';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import {
  BIT_BELOW,
  LIMIT_IGNORED,
  LOST_CHARGE,
  OVERCHARGE,
  PIN_BELOW,
  STRADDLING_PIN,
} from './known-quirks.ts';
import type { CheckViolation, Invariant } from './violation.ts';

/** What becomes of a pin that is looked up in the wrong mapping. */
const LOST_PIN: ReadonlySet<Invariant> = new Set<Invariant>(['crash', 'warning', 'end', 'pins']);

/** What warns of a sum below 0. */
const ACCOUNT = '__account_locked_vm';

/** Pages with pins that look-ups miss. */
interface ChargedAgain {
  /** Those that are pinned at an address inside the page. */
  readonly inside: number;
  /** Those whose address lies below the mapping. */
  readonly below: number;
}

/** Remembers the pins inside pages of one machine, step by step. */
export class PinQuirks {
  /** Whether the kernel looks for pins at exactly the addresses of pages. */
  readonly #exact: boolean;
  /** Pages that the kernel charges again: per mapping, and per process. */
  readonly #again = new Map<VfioDma | MmStruct, ChargedAgain>();
  /** Pins inside pages, of each mapping and process, summed up over all steps. */
  readonly #inside = new Map<VfioDma | MmStruct, number>();
  /** The rule by which charges were too small; null as long as none was. */
  #tooSmall: string | null = null;
  /** Whether there were pins inside pages of a process whose limit binds. */
  #limited = false;
  /** Whether a device has pinned a page that lies in two mappings. */
  #straddled = false;

  /** @param kernel the machine's kernel */
  constructor(kernel: KernelVersion) {
    this.#exact = kernel.type1.exactPinLookups;
  }

  /** Whether there were pins inside pages that algorithms may charge again, or not. */
  get chargesMayDiffer(): boolean {
    return this.#tooSmall !== null || this.#again.size > 0;
  }

  /**
   * Takes note of a mapping that an IOMMU maps from now on.
   *
   * @param dma the mapping, which devices may have pinned before
   */
  mapped(dma: VfioDma): void {
    if (dma.pfnList.size === 0) return;
    let [inside, below] = [0, 0];
    for (const { iovaPn, offset } of dma.pfnList) {
      if (iovaPn < dma.iovaPn) below++;
      else if (offset !== 0) inside++;
    }
    if (inside + below === 0) return;
    for (const owner of [dma, dma.mm]) {
      const before = this.#again.get(owner) ?? { inside: 0, below: 0 };
      const after = { inside: before.inside + inside, below: before.below + below };
      this.#again.set(owner, after);
    }
  }

  /**
   * Counts how often an attach may have failed with pins inside pages, and looks for those of two
   * mappings.
   *
   * @param dmas the mappings after a step
   * @param iommus the containers' states
   */
  look(dmas: readonly VfioDma[], iommus: readonly VfioIommu[]): void {
    for (const dma of dmas) {
      if (dma.pfnList.size === 0) continue;
      for (const { iovaPn, offset } of dma.pfnList) {
        if (offset === 0) continue;
        this.#limited ||= !dma.lockCap;
        for (const owner of [dma, dma.mm]) {
          this.#inside.set(owner, (this.#inside.get(owner) ?? 0) + 1);
        }
        if (iovaPn >= dma.iovaPn && iovaPn < dma.lastPn) continue;
        const other = iovaPn < dma.iovaPn ? iovaPn : iovaPn + 1;
        if (iommus.some(({ dmaList }) => dmaList.find(other, 1))) this.#straddled = true;
      }
    }
  }

  /**
   * Why the kernel charges another number of pages.
   *
   * @param owner the mapping, or the process
   * @param more pages that it is charged too many; below 0: too few
   * @returns the rule; null without one
   */
  knownCharge(owner: VfioDma | MmStruct, more: number): string | null {
    if (more < 0) {
      if (-more > (this.#inside.get(owner) ?? 0)) return null;
      if (this.#limited) return (this.#tooSmall = LIMIT_IGNORED);
      return this.#exact ? (this.#tooSmall = LOST_CHARGE) : null;
    }
    const { inside, below } = this.#again.get(owner) ?? { inside: 0, below: 0 };
    const atMost = below + (this.#exact ? inside : 0);
    if (more === 0 || more > atMost) return null;
    return this.#exact && inside > 0 ? OVERCHARGE : PIN_BELOW;
  }

  /**
   * Finds out whether the recorded kernels do the same.
   *
   * @param found a violation
   * @param iommus the containers' states
   * @returns it, with the rule by which they do
   */
  judged(found: CheckViolation, iommus: readonly VfioIommu[]): CheckViolation {
    if (found.known !== null) return found;
    if (found.invariant === 'crash' && marksBelow(iommus)) return { ...found, known: BIT_BELOW };
    // A charge that is taken back without having been made brings the sum below 0 in the end.
    const uncharged = this.#tooSmall ?? (this.#limited ? LIMIT_IGNORED : null);
    if (uncharged !== null && found.invariant === 'warning' && found.what.startsWith(ACCOUNT)) {
      return { ...found, known: uncharged };
    }
    const lostPin = this.#straddled && LOST_PIN.has(found.invariant);
    return lostPin ? { ...found, known: STRADDLING_PIN } : found;
  }
}

/** Whether dirty pages are logged of a mapping with a pin that begins below it: not for long. */
function marksBelow(iommus: readonly VfioIommu[]): boolean {
  return iommus.some(({ dmaList }) =>
    [...dmaList].some(
      ({ bitmap, pfnList, iovaPn: first }) =>
        bitmap && [...pfnList].some(({ iovaPn }) => iovaPn < first),
    ),
  );
}
