/**
 * Faults on demand: the n-th frame that is asked for, the n-th GUP call or the n-th call of the
 * IOMMU driver fails. Everything is wrapped from outside; the model does not know of it.
 */
import { Errno } from '@pinfold/base';
import type { ModelMachine } from '@pinfold/guest';
import type { IoPageTable } from '@pinfold/iommu';
import { VM, VM_FAULT, type FrameSource, type MmStruct, type Vma } from '@pinfold/mm';

/** What fails: a frame; a GUP call with either error; a call of the IOMMU driver, half done. */
export const faultKinds = ['frame', 'GUP ENOMEM', 'GUP EFAULT', 'iommu_map'] as const;

/** Kind of a fault. */
export type FaultKind = (typeof faultKinds)[number];

/** Makes the calls of one machine fail. */
export class Faults {
  #kind: FaultKind | null = null;
  #countdown = 0;
  #fired = false;
  /** Whether GUP finds no page, until it has a fault. */
  #absent = false;
  readonly #tables = new WeakSet<IoPageTable>();
  readonly #machine: ModelMachine;

  /** @param machine a machine that has done nothing yet */
  constructor(machine: ModelMachine) {
    this.#machine = machine;
    const { memory } = machine.inspect();
    if (memory.frames) this.#wrapFrames(memory.frames);
    for (const mm of memory.addressSpaces) this.#wrapGup(mm);
  }

  /**
   * Lets one call fail from now on.
   *
   * @param kind which calls count
   * @param n which of them, from 1
   */
  arm(kind: FaultKind, n: number): void {
    for (const container of this.#machine.inspect().containers) {
      const domains = container.tryGetInfo().info ? container.iommu.domainList : [];
      for (const { domain } of domains) this.#wrapTable(domain.table);
    }
    this.#kind = kind;
    this.#countdown = n;
    this.#fired = false;
  }

  /**
   * Lets nothing fail any more.
   *
   * @returns whether something has failed
   */
  disarm(): boolean {
    this.#kind = null;
    // Without a fault, the VMA did not allow the access.
    const fired = this.#fired && !this.#absent;
    this.#absent = false;
    return fired;
  }

  #fires(...kinds: readonly FaultKind[]): boolean {
    if (this.#kind === null || !kinds.includes(this.#kind) || --this.#countdown !== 0) return false;
    this.#fired = true;
    return true;
  }

  #wrapFrames(frames: FrameSource): void {
    const framesFor = frames.framesFor.bind(frames);
    frames.framesFor = (vpn, npage, order, out, pageFlags): void => {
      if (this.#fires('frame')) out.pfn = -1;
      else framesFor(vpn, npage, order, out, pageFlags);
    };
  }

  /**
   * Every GUP call begins with a look at the VMA of its first page. EFAULT: there is none. ENOMEM:
   * its page is found absent, and the fault gets no frame.
   */
  #wrapGup({ vmas, pageTable }: MmStruct): void {
    const lookup = vmas.lookup.bind(vmas);
    const walk = pageTable.walk.bind(pageTable);
    vmas.lookup = (vpn): Vma | null => {
      const vma = lookup(vpn);
      if (!vma?.ops || vma.flags & VM.PFNMAP || !this.#fires('GUP ENOMEM', 'GUP EFAULT'))
        return vma;
      if (this.#kind === 'GUP EFAULT') return null;
      this.#absent = true;
      const fault = (): number => {
        this.#absent = false;
        return VM_FAULT.OOM;
      };
      const { name, anonymous, dirtyTracking, order } = vma.ops;
      const ops = { name, anonymous, dirtyTracking, order, fault };
      return Object.assign(vma.part(vma.start, vma.end), { ops });
    };
    pageTable.walk = (vpn): boolean => !this.#absent && walk(vpn);
  }

  #wrapTable(table: IoPageTable): void {
    if (this.#tables.has(table)) return;
    this.#tables.add(table);
    const mapPages = table.mapPages.bind(table);
    table.mapPages = (iovaPn, pfn, order, count, prot): number => {
      if (!this.#fires('iommu_map')) return mapPages(iovaPn, pfn, order, count, prot);
      const half = Math.floor(count / 2);
      if (half > 0) mapPages(iovaPn, pfn, order, half, prot);
      else Object.assign(table, { mapped: 0 });
      return -Errno.ENOMEM;
    };
  }
}
