/** Free memory and folios in use are all the memory there is. */
import type { MachineView } from '@pinfold/guest';
import { BuddyAllocator, type Memory, type ZoneName } from '@pinfold/mm';
import type { PagesInUse } from './pages-in-use.ts';
import type { Violations } from './violations.ts';

const ZONES: readonly ZoneName[] = ['DMA32', 'NORMAL', 'MOVABLE'];

/** Watches the free pages of each zone. */
export class FreePages {
  /** Free pages when nothing was in use yet. */
  readonly #atFirst: ReadonlyMap<ZoneName, number>;
  /** Pages that the kernel was found to hold, in fragmented memory. */
  readonly #held = new Map<ZoneName, number>();

  /** @param memory memory of which nothing is in use yet */
  constructor(memory: Memory) {
    this.#atFirst = freePages(memory);
  }

  /**
   * Looks for pages that are lost, or both free and in use.
   *
   * @param view the machine
   * @param inUse its pages in use
   * @param found told of what does not hold
   */
  check({ memory, fragmented }: MachineView, inUse: PagesInUse, found: Violations): void {
    for (const [zone, free] of freePages(memory)) {
      const held = (this.#atFirst.get(zone) ?? 0) - free - inUse.ofZone(zone);
      const before = this.#held.get(zone) ?? 0;
      this.#held.set(zone, held);
      if (fragmented ? held >= before : held === 0) continue;
      found.add(
        'free pages and pages in use are all pages',
        `${zone}: ${free} free, ${inUse.ofZone(zone)} in use, ${held} lost (${before} before)`,
      );
    }
  }
}

function freePages({ frames }: Memory): ReadonlyMap<ZoneName, number> {
  if (!(frames instanceof BuddyAllocator)) return new Map();
  return new Map(ZONES.map((zone) => [zone, frames.freePages(zone)]));
}
