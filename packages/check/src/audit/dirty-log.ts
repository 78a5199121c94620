/**
 * What dirty bitmaps may show: kept from what devices have pinned and IOMMUs have mapped, without
 * the kernel's bitmaps.
 *
 * @source README-extpin, "Dirty bitmap, emulated only", "Stale dirty bits"
 */
import { pageNumber, type IovaPn } from '@pinfold/base';
import type { Operation } from '@pinfold/guest';
import { hexPages, type DirtyBitmap } from '@pinfold/scenario';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import { STALE_BITS } from './known-quirks.ts';
import { violation, type CheckViolation } from './violation.ts';

/** Flags of VFIO_IOMMU_DIRTY_PAGES, and of UNMAP_DMA. */
const START = 1;
const GET = 4;
const UNMAP_BITMAP = 1;
/** Pages of one word of a bitmap. */
const WORD = 64;

/** A mapping while dirty pages are logged. */
interface Logged {
  readonly iovaPn: IovaPn;
  readonly npage: number;
  /** Pages that may be dirty. */
  readonly pages: Set<IovaPn>;
  /** Whether an IOMMU has mapped it, so that all may be. */
  all: boolean;
}

/** Follows the dirty log of one container. */
export class DirtyLog {
  readonly #logged = new Map<VfioDma, Logged>();
  #on = false;
  /** Whether a read has moved bits inside a bitmap since the log was started. */
  #shifted = false;

  /**
   * Looks at a step.
   *
   * @param operation what was done
   * @param code what it returned
   * @param bitmap the bitmap that it showed
   * @param iommu the container after it
   * @returns a bit that is wrong; null without one
   */
  step(
    operation: Operation,
    code: number,
    bitmap: DirtyBitmap | undefined,
    iommu: VfioIommu,
  ): CheckViolation | null {
    if (operation.op === 'dirty' && code === 0 && operation.flags !== GET) {
      this.#on = operation.flags === START;
      this.#logged.clear();
      this.#shifted = false;
    }
    if (!this.#on) return null;
    const read = code === 0 && bitmap ? rangeOf(operation) : null;
    const found = read && bitmap ? this.#read(read, bitmap) : null;
    this.#follow(operation, iommu);
    return found;
  }

  /** What is pinned or mapped now, and what the step may have pinned. */
  #follow(operation: Operation, { dmaList, domainList }: VfioIommu): void {
    const dmas = new Set(dmaList);
    for (const dma of this.#logged.keys()) if (!dmas.has(dma)) this.#logged.delete(dma);
    for (const dma of dmas) {
      const { iovaPn, npage } = dma;
      const logged = this.#logged.get(dma) ?? { iovaPn, npage, pages: new Set(), all: false };
      this.#logged.set(dma, logged);
      logged.all ||= dma.iommuMapped || domainList.length > 0;
      if (dma.pfnList.size > 0) for (const node of dma.pfnList) logged.pages.add(node.iovaPn);
      if (operation.op !== 'pin') continue;
      const first = pageNumber(operation.iova);
      for (let i = 0; i < operation.n; i++) logged.pages.add(first + i);
    }
  }

  #read(
    { first, npage }: { first: IovaPn; npage: number },
    bits: DirtyBitmap,
  ): CheckViolation | null {
    const inRange = [...this.#logged.values()].filter(
      (one) => one.iovaPn < first + npage && one.iovaPn + one.npage > first,
    );
    if (inRange.some((one) => (one.iovaPn - first) % WORD !== 0)) this.#shifted = true;
    const found = this.#firstWrong(inRange, first, bits);
    for (const [dma, one] of this.#logged) {
      if (!inRange.includes(one)) continue;
      one.pages.clear();
      one.all = dma.iommuMapped;
    }
    return found;
  }

  #firstWrong(logged: readonly Logged[], first: IovaPn, bits: DirtyBitmap): CheckViolation | null {
    for (const [start, count] of bits.runs) {
      for (let page = first + start; page < first + start + count; page++) {
        const at = logged.find((one) => page >= one.iovaPn && page < one.iovaPn + one.npage);
        if (at && (at.all || at.pages.has(page))) continue;
        const what = `iova ${hexPages(page)} is reported dirty, which ${at ? 'no device has had' : 'is not mapped'}`;
        return violation('dirty', what, this.#shifted ? STALE_BITS : null, 'accounting');
      }
    }
    return null;
  }
}

/** The range whose bitmap an operation reads. */
function rangeOf(operation: Operation): { first: IovaPn; npage: number } | null {
  const reads =
    (operation.op === 'dirty' && operation.flags === GET) ||
    (operation.op === 'unmap' && (operation.flags & UNMAP_BITMAP) !== 0);
  if (!reads) return null;
  return { first: pageNumber(operation.iova), npage: pageNumber(operation.size) };
}
