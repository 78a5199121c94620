/** Pairs of sections whose memmaps lie adjacent, or apart, under classic sparsemem. */
import { MemMap } from '../src/memmap.ts';
import { SECTION } from './machine.ts';

/** Two sections of a machine. */
export interface SectionPair {
  readonly memmap: MemMap;
  readonly section: number;
  readonly next: number;
}

/**
 * Looks through seeds for two pairs of sections that a condition allows: one pair whose second
 * memmap begins where the first ends, and one for which it does not.
 *
 * @param sections sections of the machine
 * @param allowed which pairs of section numbers to consider
 */
function sectionPairs(
  sections: number,
  allowed: (section: number, next: number) => boolean,
): { adjacent: SectionPair; apart: SectionPair } {
  const found: { adjacent?: SectionPair; apart?: SectionPair } = {};
  for (let seed = 0; seed < 1000; seed++) {
    const memmap = new MemMap([{ pfn: 0, npage: sections * SECTION }], 'sparsemem', seed);
    for (let section = 0; section < sections; section++) {
      for (let next = 0; next < sections; next++) {
        if (next === section || !allowed(section, next)) continue;
        const follows =
          memmap.pfnToPage(next * SECTION) === memmap.pfnToPage(section * SECTION) + SECTION;
        found[follows ? 'adjacent' : 'apart'] ??= { memmap, section, next };
      }
    }
    const { adjacent, apart } = found;
    if (adjacent && apart) return { adjacent, apart };
  }
  throw new Error('no seed places the memmaps as wanted');
}

/** Neighbours in pfn; on a machine this small their memmaps are adjacent for some seeds. */
export function neighbours(): { adjacent: SectionPair; apart: SectionPair } {
  return sectionPairs(3, (section, next) => next === section + 1);
}

/** Sections that do not follow each other in pfn, whose memmaps do. */
export function adjacentStrangers(): SectionPair {
  return sectionPairs(16, (section, next) => next !== section + 1).adjacent;
}
