/** The machine of a scenario: as the facts of the log say, and as large as its memory needs. */
import { pageNumber } from '@pinfold/base';
import { machineLineText, type MachineLine } from '@pinfold/scenario';
import type { HostFacts } from '../log/entries.ts';
import type { MemoryPlan } from './memory.ts';

const GIB = 2 ** 30;
const PAGE = 4096;
const PAGE_BYTES = BigInt(PAGE);
/** What the default machine has for programs, and what a machine keeps for pools of huge pages and itself. */
const [DEFAULT_ROOM, KEPT] = [4 * GIB, 4 * GIB];
/** Memory below the PCI hole, and where the rest begins, in pages. */
const [LOW_PAGES, HIGH_PFN] = [2 ** 19, 2 ** 20];
/** Pages that one range of a machine line may have. */
const MAX_RANGE = 2 ** 23;
/** Largest machine: 16 TiB. */
const MAX_BYTES = 16 * 2 ** 40;
/** Huge pages that a line may have. */
const MAX_HUGE = 999_999;
/** Frame from which on the BAR lies where the machine has the memory of the default. */
const ALIGN = 2 ** 18;

/** Writes the line of the machine. */
export class MachineBuilder {
  readonly #facts: HostFacts;
  readonly #plan: MemoryPlan;

  /**
   * @param facts facts of the host
   * @param plan what the memory of the scenario needs
   */
  constructor(facts: HostFacts, plan: MemoryPlan) {
    this.#facts = facts;
    this.#plan = plan;
  }

  /**
   * The line.
   *
   * @returns the line `machine ...`; empty if it is the default machine
   */
  line(): string {
    const { iommu, addressWidth, reserved = [], hugepages, chargedByUser = 0 } = this.#facts;
    const { bytes, hugePages, barPages } = this.#plan;
    const pool = hugepages ?? (hugePages > 0 ? hugePages : undefined);
    const needed = bytes + chargedByUser + (pool ?? 0) * 2 ** 21;
    const memory = needed > DEFAULT_ROOM ? memoryOf(Math.min(needed + KEPT, MAX_BYTES)) : undefined;
    const last = memory?.at(-1);
    const above = last ? last.pfn + last.npage : 2 * HIGH_PFN + 2 * ALIGN;
    const align = Math.max(ALIGN, 2 ** Math.ceil(Math.log2(Math.max(1, barPages))));
    const own = reserved.filter(({ type }) => type !== 'msi' && type !== 'direct-relaxable');
    const line: MachineLine = {
      ...(memory && { memory }),
      ...(barPages > 0 && {
        bar: { pfn: Math.ceil(above / align) * align, npage: 2 ** Math.ceil(Math.log2(barPages)) },
      }),
      ...(pool !== undefined && { hugepages: Math.min(pool, MAX_HUGE) }),
      ...(iommu !== undefined && { iommu }),
      ...(addressWidth !== undefined && { aw: addressWidth }),
      ...(own.length > 0 && {
        resv: own.map(({ first, last: end }) => ({
          start: pageNumber(first),
          last: pageNumber(end - (end % PAGE_BYTES)),
        })),
      }),
    };
    return Object.keys(line).length === 0 ? '' : machineLineText(line);
  }
}

function memoryOf(bytes: number): { pfn: number; npage: number }[] {
  const ranges = [{ pfn: 0, npage: LOW_PAGES }];
  let left = Math.ceil(bytes / PAGE) - LOW_PAGES;
  for (let pfn = HIGH_PFN; left > 0; pfn += MAX_RANGE) {
    const npage = Math.min(left, MAX_RANGE);
    ranges.push({ pfn, npage });
    left -= npage;
  }
  return ranges;
}
