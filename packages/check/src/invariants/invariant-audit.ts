/**
 * What must hold in the model after every step, whatever the step was: an audit that counts anew,
 * from the page tables, the page caches and the mappings, what the model has kept count of. Each
 * group of rules is a file beside this one.
 *
 * Left out: the order of unmap, IOTLB flush and unpin inside one step, which only somebody who sees
 * the calls can judge.
 */
import { iommusOf, type Inspectable, type Operation } from '@pinfold/guest';
import type { VfioIommu } from '@pinfold/vfio-type1';
import { DRIVER_FAULTS } from '../audit/driver-faults.ts';
import { Charges } from './charges.ts';
import { ContainerCounts } from './container-counts.ts';
import { FirstSeenDmas } from './first-seen.ts';
import { FolioCounts } from './folio-counts.ts';
import { FreePages } from './free-pages.ts';
import { HugePools } from './huge-pools.ts';
import { checkLeaves } from './leaves.ts';
import { checkMapping } from './mapping.ts';
import { checkOwner } from './owner.ts';
import { checkEntries } from './page-table-entries.ts';
import { Violations, type Violation } from './violations.ts';

/** The warning that a device has pins of a mapping that goes: their frames and charge are lost. */
const LEAK = 'vfio_remove_dma';

/** Audits one machine, step by step; it remembers what mappings looked like when they were made. */
export class InvariantAudit {
  readonly #machine: Inspectable;
  readonly #seen = new FirstSeenDmas();
  readonly #folios: FolioCounts;
  readonly #free: FreePages;
  readonly #huge: HugePools;
  readonly #charges = new Charges();
  readonly #containers = new ContainerCounts();

  /** @param machine a machine that has done nothing yet */
  constructor(machine: Inspectable) {
    this.#machine = machine;
    const { memory } = machine.inspect();
    this.#folios = new FolioCounts(memory.memmap);
    this.#free = new FreePages(memory);
    this.#huge = new HugePools(memory);
  }

  /**
   * Looks at everything, after a step. A mapping must be looked at right after the step that made
   * it: the process's page table is what it is compared with from then on.
   *
   * @param operation what the step did: an mmap may put other pages where some were
   * @returns what does not hold; empty if all is well
   */
  check(operation?: Operation): readonly Violation[] {
    return this.#check(operation).list;
  }

  /**
   * Looks at a machine whose process has ended: nothing may be left.
   *
   * @returns what is left; empty if all is well
   */
  checkEnd(): readonly Violation[] {
    const found = this.#check();
    const { memory } = this.#machine.inspect();
    if (memory.warnings.has(LEAK)) return found.list;
    const { pinsHeld } = memory.vmstat;
    if (pinsHeld !== 0) found.add('no pin is left at the end', `${pinsHeld} pages`);
    for (const { pfn, order, refcount } of memory.memmap.foliosInUse()) {
      found.add('no folio is left at the end', `${pfn}+${order} with ${refcount} references`);
    }
    this.#huge.checkEnd(found);
    if (memory.addressSpaces.size > 0) found.add('no address space is left at the end', '');
    return found.list;
  }

  #check(operation?: Operation): Violations {
    const found = new Violations();
    const view = this.#machine.inspect();
    const { memory } = view;
    const leak = memory.warnings.get(LEAK);
    // Pins that nobody gives back spoil every count.
    if (leak !== undefined) {
      found.add('no kernel warning', `${LEAK}: ${leak}`);
      return found;
    }
    const iommus = iommusOf(view);
    const dmas = iommus.flatMap(({ dmaList }) => [...dmaList]);
    if (operation?.op === 'addgroup' || operation?.op === 'addext') this.#charges.groupJoined(dmas);
    this.#folios.count(view, dmas, this.#seen, found);
    const inUse = this.#folios.check(view, found);
    this.#free.check(view, inUse, found);
    this.#huge.check(inUse, found);
    for (const mm of memory.addressSpaces) checkEntries(mm, this.#folios, found);
    this.#charges.checkLockedVm(memory, dmas, found);
    for (const iommu of iommus) this.#checkContainer(iommu, operation?.op === 'mmap', found);
    for (const [at, what] of memory.warnings) {
      if (!DRIVER_FAULTS.has(at)) found.add('no kernel warning', `${at}: ${what}`);
    }
    return found;
  }

  #checkContainer(iommu: VfioIommu, remapped: boolean, found: Violations): void {
    this.#containers.check(iommu, found);
    for (const dma of iommu.dmaList) {
      const seen = this.#seen.of(dma, found);
      checkMapping(iommu, dma, seen, this.#charges, found);
      checkOwner(seen, remapped, found);
    }
    for (const { domain } of iommu.domainList) checkLeaves(iommu, domain, this.#seen, found);
  }
}
