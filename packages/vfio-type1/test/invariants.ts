/** What must hold after every ioctl, whatever it did. */
import { expect } from 'vitest';
import type { Machine } from './random-machine.ts';

/** Everything that a failed ioctl must leave alone, as text that can be compared. */
export function stateOf({ memory, mm, container }: Machine): string {
  const { iommu } = container;
  const folios = [...memory.memmap.foliosInUse()].map(({ pfn, order, refcount, pincount }) => [
    pfn,
    order,
    refcount,
    pincount,
  ]);
  const dmas = [...iommu.dmaList].map((dma) => [
    dma.iovaPn,
    dma.npage,
    dma.vaddr,
    dma.prot,
    dma.vaddrInvalid,
  ]);
  const leaves = iommu.domainList.map((domain) => [...domain.leaves()]);
  return JSON.stringify({
    folios,
    dmas,
    leaves,
    lockedVm: mm.lockedVm,
    dmaAvail: iommu.dmaAvail,
    vaddrInvalidCount: iommu.vaddrInvalidCount,
  });
}

/** Frame by I/O page, as the IOMMU's leaves have it. */
export function translations({ container }: Machine): Map<number, number> {
  const pages = new Map<number, number>();
  for (const domain of container.iommu.domainList) {
    for (const { iovaPn, pfn, order } of domain.leaves()) {
      for (let i = 0; i < 2 ** order; i++) pages.set(iovaPn + i, pfn + i);
    }
  }
  return pages;
}

/** Pins held according to the folios' own counts. */
export function pinsOfFolios({ memory }: Machine): number {
  let pins = 0;
  for (const { order, refcount, pincount } of memory.memmap.foliosInUse()) {
    pins += order > 0 ? pincount : Math.floor(refcount / 1024);
  }
  return pins;
}

/** Checks the machine against the frames that its mappings had when they were made. */
export function checkInvariants(machine: Machine, mapped: ReadonlyMap<number, number>): void {
  const { memory, mm, container } = machine;
  const { memmap, vmstat } = memory;
  expect(vmstat.pinsHeld, 'acquired - released = pins held').toBe(pinsOfFolios(machine));
  expect([...translations(machine)], 'the IOMMU maps what was mapped').toEqual(
    [...mapped].sort(([a], [b]) => a - b),
  );
  const [domain] = container.iommu.domainList;
  for (const [iovaPn, pfn] of mapped) expect(domain?.iovaToPhys(iovaPn)).toBe(pfn);
  const pinned = [...mapped.values()].filter(
    (pfn) => memmap.pfnValid(pfn) && !memmap.pageReserved(pfn),
  );
  expect(vmstat.pinsHeld, 'a pin per mapped page of memory').toBe(pinned.length);
  expect(mm.lockedVm, 'locked_vm counts them').toBe(pinned.length);
  expect(container.iommu.dmaAvail).toBe(
    container.iommu.params.dmaEntryLimit - container.iommu.dmaList.size,
  );
  expect([...memory.warnings], 'no WARN_ON').toEqual([]);
}
