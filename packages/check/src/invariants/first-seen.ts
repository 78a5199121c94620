/** Mappings as they were when they were made, which is what they are compared with from then on. */
import type { Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import type { MmStruct } from '@pinfold/mm';
import type { VfioDma } from '@pinfold/vfio-type1';
import { SeenDma, type FrameRun } from '../audit/seen-dma.ts';
import type { Violations } from './violations.ts';

/** A mapping as it was when it was first seen: what the process's memory was then. */
export interface FirstSeen {
  /** The process's memory. */
  readonly mm: MmStruct;
  /** First page of it that is mapped. */
  readonly vaddr: Vpn;
  /** Length in pages. */
  readonly npage: number;
  /** Whether an IOMMU maps it; else only what devices have pinned of it is. */
  readonly iommuMapped: boolean;
  /** Its pages in order, if an IOMMU maps it. */
  readonly runs: readonly FrameRun[];
  /** Its pages that are pinned for an IOMMU. */
  readonly pinned: number;
  /**
   * Whether the process may write its pages away from the device: those of a read-only pin that has
   * unshared nothing, on kernels that pin so.
   */
  readonly mayPart: boolean;
  /** Whether the process had every page of it. */
  readonly isWhole: boolean;
  /** Per page: 1 as long as the process has had it mapped at every audit since. */
  readonly attached: Uint8Array;
}

/** Remembers what mappings looked like when they were made. */
export class FirstSeenDmas {
  readonly #seen = new WeakMap<VfioDma, FirstSeen>();

  /**
   * A mapping as it was when it was made, or when an IOMMU came or went.
   *
   * @param dma the mapping
   * @param found told of a new one that is not whole
   * @returns how it was; how it is if it was never seen before
   */
  of(dma: VfioDma, found: Violations): FirstSeen {
    const known = this.#seen.get(dma);
    if (known?.iommuMapped === dma.iommuMapped) return known;
    const seen = firstSeen(dma);
    this.#seen.set(dma, seen);
    if (seen.iommuMapped && !seen.isWhole) {
      found.add('all pages of a new mapping are there', `at ${dma.iovaPn}`);
    }
    return seen;
  }
}

const UNMAPPED = { runs: [], pinned: 0 } as const;

function firstSeen(dma: VfioDma): FirstSeen {
  const { mm, vaddr, npage, iommuMapped } = dma;
  const { runs, pinned } = iommuMapped ? new SeenDma(dma) : UNMAPPED;
  const isWhole = runs.reduce((sum, run) => sum + run.npage, 0) === npage;
  const unshares = mm.memory.rules.readPinUnshare === 'private';
  const mayPart = !unshares && (dma.prot & IOMMU.WRITE) === 0;
  const attached = new Uint8Array(iommuMapped ? npage : 0).fill(1);
  return { mm, vaddr, npage, iommuMapped, runs, pinned, mayPart, isWhole, attached };
}
