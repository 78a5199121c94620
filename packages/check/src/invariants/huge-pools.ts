/** Huge pages of hugetlb are free, reserved or in use. */
import { PMD_ORDER, PUD_ORDER } from '@pinfold/base';
import type { Memory } from '@pinfold/mm';
import type { PagesInUse } from './pages-in-use.ts';
import type { Violations } from './violations.ts';

/** Watches the pools of huge pages. */
export class HugePools {
  readonly #memory: Memory;
  /** Huge pages per order when none was in use yet. */
  readonly #atFirst: ReadonlyMap<number, number>;

  /** @param memory memory of which nothing is in use yet */
  constructor(memory: Memory) {
    this.#memory = memory;
    this.#atFirst = new Map(
      [PMD_ORDER, PUD_ORDER].map((order) => [order, memory.hugetlbPool(order)?.freeHugePages ?? 0]),
    );
  }

  /**
   * Looks at what is free and reserved. A page whose mapping dropped it is reserved again, and
   * becomes free when the last pin, or the last child that has it too, lets go of it.
   *
   * @param inUse pages in use
   * @param found told of what does not hold
   */
  check(inUse: PagesInUse, found: Violations): void {
    for (const [order, all] of this.#atFirst) {
      const pool = this.#memory.hugetlbPool(order);
      if (!pool) continue;
      const { freeHugePages, resvHugePages } = pool;
      if (freeHugePages + inUse.huge(order) !== all) {
        const what = `${freeHugePages} free, ${inUse.huge(order)} in use, of ${all}`;
        found.add('a huge page is free or in use', what);
      }
      const comingFree = freeHugePages + inUse.dropped(order);
      if (resvHugePages < 0 || resvHugePages > comingFree) {
        const what = `${resvHugePages} reserved, ${comingFree} free or coming free, order ${order}`;
        found.add('reserved huge pages are free, or will be', what);
      }
    }
  }

  /**
   * Looks for reservations that outlive the process.
   *
   * @param found told of them
   */
  checkEnd(found: Violations): void {
    for (const order of this.#atFirst.keys()) {
      const left = this.#memory.hugetlbPool(order)?.resvHugePages ?? 0;
      if (left !== 0) found.add('no reservation is left at the end', `${left} of order ${order}`);
    }
  }
}
