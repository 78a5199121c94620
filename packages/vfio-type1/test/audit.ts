/** Compares a container and its machine with what the plain model says, page by page. */
import { GUP_PIN_COUNTING_BIAS, type MemMap, type Memory, type Task } from '@pinfold/mm';
import { expect } from 'vitest';
import type { VfioIommu } from '../src/index.ts';
import type { PlainDma, PlainType1 } from './plain-type1.ts';

/** Counts of a folio on its head: [pfn, order, refcount, pincount]. */
export type FolioCounts = readonly [number, number, number, number];

/** Counts of every folio in use. */
export function folioCounts(memmap: MemMap): FolioCounts[] {
  return Array.from(memmap.foliosInUse(), ({ pfn, order, refcount, pincount }) => [
    pfn,
    order,
    refcount,
    pincount,
  ]);
}

/** IOMMU leaves as text: which pages, with which frames, size and access. */
export function leavesAsText(iommu: VfioIommu): string {
  return iommu.domainList
    .map(({ domain }) =>
      Array.from(
        domain.leaves(),
        ({ iovaPn, pfn, order, prot }) => `${iovaPn}+${order}:${pfn}/${prot}`,
      ).join(' '),
    )
    .join('\n');
}

/** Pins that the folios' own counts show. */
function pinsOf(counts: readonly FolioCounts[]): number {
  return counts.reduce(
    (sum, [, order, refcount, pincount]) =>
      sum + (order > 0 ? pincount : Math.floor(refcount / GUP_PIN_COUNTING_BIAS)),
    0,
  );
}

/** What a machine's folios must count when mappings hold pins on top of what was there before. */
function countsWithPins(
  memmap: MemMap,
  before: readonly FolioCounts[],
  dmas: readonly PlainDma[],
): FolioCounts[] {
  const pins = new Map<number, number>();
  for (const { pinned } of dmas) {
    for (const pfn of pinned) {
      const head = memmap.headEntryOf(pfn);
      pins.set(head, (pins.get(head) ?? 0) + 1);
    }
  }
  return before.map(([pfn, order, refcount, pincount]) => {
    const more = pins.get(memmap.headEntryOf(pfn)) ?? 0;
    return order === 0
      ? [pfn, order, refcount + more * GUP_PIN_COUNTING_BIAS, pincount]
      : [pfn, order, refcount + more, pincount + more];
  });
}

/** Every leaf lies in a mapping, with its frames and access; together they are the mappings. */
function checkLeaves(iommu: VfioIommu, plain: PlainType1): void {
  for (const { domain } of iommu.domainList) {
    let mapped = 0;
    for (const { iovaPn, pfn, order, prot } of domain.leaves()) {
      const dma = plain.dmas.find(
        (candidate) => candidate.iovaPn <= iovaPn && iovaPn < candidate.iovaPn + candidate.npage,
      );
      if (!dma) throw new Error(`page ${iovaPn} is mapped and in no mapping`);
      if (prot !== dma.leafProt)
        throw new Error(`page ${iovaPn} is mapped with access ${prot}, not ${dma.leafProt}`);
      const from = iovaPn - dma.iovaPn;
      for (let i = 0; i < 2 ** order; i++) {
        if (dma.pfns[from + i] !== pfn + i)
          throw new Error(`page ${iovaPn + i} translates to ${pfn + i}, not ${dma.pfns[from + i]}`);
      }
      mapped += 2 ** order;
    }
    expect(mapped, 'pages mapped').toBe(plain.dmas.reduce((sum, { npage }) => sum + npage, 0));
  }
}

/** iova_to_phys of the pages of small mappings, and around all of them. */
function checkTranslations(iommu: VfioIommu, plain: PlainType1): void {
  const [{ domain }] = iommu.domainList;
  const expected = (at: number): number => {
    const dma = plain.dmas.find(({ iovaPn, npage }) => iovaPn <= at && at < iovaPn + npage);
    return dma ? dma.pfns[at - dma.iovaPn] : 0;
  };
  for (const { iovaPn, npage } of plain.dmas) {
    const step = Math.max(1, Math.floor(npage / 200));
    for (
      let at = Math.max(0, iovaPn - 1);
      at <= iovaPn + npage;
      at += at < iovaPn + npage - 2 ? step : 1
    ) {
      if (domain.iovaToPhys(at) !== expected(at)) {
        throw new Error(
          `iova_to_phys of page ${at} is ${domain.iovaToPhys(at)}, not ${expected(at)}`,
        );
      }
    }
  }
}

/** Throws unless container and machine are as the plain model says. */
export function audit(
  iommu: VfioIommu,
  memory: Memory,
  tasks: readonly Task[],
  before: readonly FolioCounts[],
  plain: PlainType1,
): void {
  const dmas = Array.from(
    iommu.dmaList,
    ({ iovaPn, npage, vaddr, prot, lockedVm, vaddrInvalid }) => [
      iovaPn,
      npage,
      vaddr,
      prot,
      lockedVm,
      vaddrInvalid,
    ],
  );
  expect(dmas, 'mappings').toEqual(
    plain.dmas.map(({ iovaPn, npage, vaddr, prot, pinned, vaddrInvalid }) => [
      iovaPn,
      npage,
      vaddr,
      prot,
      pinned.length,
      vaddrInvalid,
    ]),
  );
  expect(iommu.dmaAvail, 'entries left').toBe(plain.dmaAvail);
  expect(iommu.vaddrInvalidCount, 'invalid vaddrs').toBe(
    plain.dmas.filter(({ vaddrInvalid }) => vaddrInvalid).length,
  );
  expect(
    tasks.map(({ mm }) => mm.lockedVm),
    'locked_vm',
  ).toEqual(tasks.map((task) => plain.lockedVm.get(task) ?? 0));
  const counts = folioCounts(memory.memmap);
  expect(counts.join(' '), 'folio counts').toBe(
    countsWithPins(memory.memmap, before, plain.dmas).join(' '),
  );
  expect(memory.vmstat.pinsHeld, 'acquired - released').toBe(plain.pinned);
  expect(pinsOf(counts), 'pins of the folios').toBe(plain.pinned);
  checkLeaves(iommu, plain);
  checkTranslations(iommu, plain);
  expect([...memory.warnings], 'warnings of the kernel').toEqual([]);
}
