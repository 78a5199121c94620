/** What mappings and processes are charged. */
import type { Memory, MmStruct } from '@pinfold/mm';
import type { VfioDma } from '@pinfold/vfio-type1';
import { lockedPages } from '../audit/locked-pages.ts';
import type { FirstSeen } from './first-seen.ts';
import type { Violations } from './violations.ts';

/**
 * Compares charges with pins. Up to 6.16, pins at addresses inside a page are not found when a group
 * attaches: their pages are charged again, each time (recordings y18, y29, u02).
 */
export class Charges {
  /** What a mapping may be charged too much, in pages; and whose memory it is. */
  readonly #overcharge = new WeakMap<VfioDma, number>();
  readonly #overcharged = new WeakSet<MmStruct>();

  /**
   * Takes note of what may be charged again because a group has attached.
   *
   * @param dmas the mappings
   */
  groupJoined(dmas: readonly VfioDma[]): void {
    for (const dma of dmas) {
      let inside = 0;
      for (const { offset } of dma.pfnList) if (offset !== 0) inside++;
      if (inside === 0) continue;
      this.#overcharge.set(dma, inside + (this.#overcharge.get(dma) ?? 0));
      this.#overcharged.add(dma.mm);
    }
  }

  /**
   * locked_vm is what mappings have charged, and what is mlocked.
   *
   * @param memory the machine's memory
   * @param dmas the mappings
   * @param found told of what does not hold
   */
  checkLockedVm({ addressSpaces }: Memory, dmas: readonly VfioDma[], found: Violations): void {
    for (const mm of addressSpaces) {
      const pages = lockedPages(mm, dmas);
      // A charge that is never given back is left when its mapping has gone.
      const isRight = this.#overcharged.has(mm) ? mm.lockedVm >= pages : mm.lockedVm === pages;
      if (!isRight) {
        found.add('locked_vm is the charge of mappings and mlock', `${mm.lockedVm}, not ${pages}`);
      }
    }
  }

  /**
   * Behind an IOMMU a mapping is charged the pages that are pinned for it: what devices pin as well
   * costs nothing more. Else it is charged one page per node.
   *
   * @param dma the mapping
   * @param seen how it was made
   * @param found told of what does not hold
   */
  checkMapping(dma: VfioDma, { iommuMapped, pinned }: FirstSeen, found: Violations): void {
    const { iovaPn, lockedVm, pfnList } = dma;
    const expected = iommuMapped ? pinned : pfnList.size;
    const most = expected + (this.#overcharge.get(dma) ?? 0);
    if (lockedVm >= expected && lockedVm <= most) return;
    found.add('a mapping is charged its pins', `at ${iovaPn}: ${lockedVm}, not ${expected}`);
  }
}
