/** The audit itself: every invariant, broken by hand. */
import { ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { MmStruct, PTE } from '@pinfold/mm';
import { StepRunner } from '@pinfold/scenario';
import type { VfioDma, VfioIommu } from '@pinfold/vfio-type1';
import { beforeEach, describe, expect, it } from 'vitest';
import { InvariantAudit } from '../src/index.ts';
import { machineNamed } from './sequences-machines.ts';

const SCRIPT = `
open type=v2
mmap name=A kind=anon size=4M addr=0x4000000000 advise=nohuge
mmap name=H kind=huge2m size=2M
mmap name=T kind=anon size=2M addr=0x5000000000 advise=huge
touch va=A size=4P
touch va=T size=1P
touch va=H size=1P
mlock va=A+1M size=2P
map iova=1G va=A size=4P
map iova=2G va=T size=2M flags=r
`;

/** What a case may break. */
interface Parts {
  readonly machine: ModelMachine;
  readonly audit: InvariantAudit;
  readonly mm: MmStruct;
  readonly iommu: VfioIommu;
  /** The mapping of four small pages. */
  readonly dma: VfioDma;
  /** First page of A, its frame, and the frame of the THP. */
  readonly vpn: number;
  readonly pfn: number;
  readonly thp: number;
}

let parts: Parts;

beforeEach(async () => {
  const { facts } = machineNamed('zones');
  const machine = new ModelMachine({ kernel: kernelVersion('6.18'), facts });
  const audit = new InvariantAudit(machine);
  const runner = new StepRunner(machine);
  for (const [index, step] of parseScenario(SCRIPT, 'audit.scn').steps.entries()) {
    const { operation, observation } = await runner.run(step, index);
    expect([step.text, observation.errno]).toEqual([step.text, null]);
    expect(audit.check(operation)).toEqual([]);
  }
  const { memory, containers } = machine.inspect();
  const [mm] = memory.addressSpaces;
  const [{ iommu }] = containers;
  const [vpn, pfn] = [0x4000000, mm.pageTable.pfnAt(0x4000000)];
  const thp = mm.pageTable.pfnAt(0x5000000);
  parts = { machine, audit, mm, iommu, dma: iommu.dmaList.first()!, vpn, pfn, thp };
});

/** Sets the bits of a small page's entry. */
function setBits({ mm }: Parts, vpn: number, change: (bits: number) => number): void {
  mm.pageTable.walk(vpn);
  const { ptes, index } = mm.pageTable;
  ptes.bits[index] = change(ptes.bits[index]);
}

describe('the audit finds', () => {
  it.each<[string, string, (parts: Parts) => void]>([
    [
      'a pin too many in the statistics',
      'pins acquired - released are those of the mappings',
      ({ mm }) => mm.memory.vmstat.nrFollPinAcquired++,
    ],
    [
      'a reference too many',
      'references are mappings, page cache and pins',
      ({ mm, pfn }) => mm.memory.memmap.refcount[mm.memory.memmap.headEntryOf(pfn)]++,
    ],
    [
      'a pin too few of a large folio',
      'pincounts of large folios are exact',
      ({ mm, thp }) => mm.memory.memmap.pincount[mm.memory.memmap.headEntryOf(thp)]--,
    ],
    [
      'an entry of a page that is free',
      'an entry maps a folio in use',
      ({ mm, vpn, pfn }) => mm.pageTable.setEntry(vpn + 100, pfn + 4096, 0, PTE.present),
    ],
    [
      'a writable page that others may map',
      'a writable page of a private mapping is exclusive',
      (p) => setBits(p, p.vpn, (bits) => bits & ~PTE.anonExclusive),
    ],
    [
      'a pinned page that others may map',
      'a pinned anonymous page is exclusive',
      (p) => setBits(p, p.vpn, (bits) => bits & ~(PTE.anonExclusive | PTE.write)),
    ],
    [
      'another page under the process than under the device',
      'process and device see the same page',
      ({ mm, vpn, pfn }) => mm.pageTable.setEntry(vpn, pfn + 1, 0, PTE.present),
    ],
    [
      'an exclusive page that is mapped twice',
      'an exclusive page is mapped once',
      ({ mm, vpn, pfn }) => {
        mm.pageTable.setEntry(vpn + 100, pfn, 0, PTE.present);
        mm.memory.memmap.refcount[mm.memory.memmap.headEntryOf(pfn)]++;
      },
    ],
    [
      'write access that the VMA does not give',
      'no entry is writable in a VMA that is not',
      ({ mm, vpn }) =>
        mm.vmas.replace(vpn, vpn + 1, (vma) => vma.part(vma.start, vma.end, vma.flags & ~2)),
    ],
    [
      'a charge that nobody made',
      'locked_vm is the charge of mappings and mlock',
      ({ mm }) => mm.lockedVm++,
    ],
    [
      'a mapping that is charged too much',
      'a mapping is charged its pins',
      ({ dma }) => dma.lockedVm++,
    ],
    ['a mapping that grows', 'a mapping keeps its size', ({ dma }) => dma.npage++],
    [
      'an entry that is not given back',
      'entries left and mappings are the limit',
      ({ iommu }) => iommu.dmaAvail--,
    ],
    [
      'a wrong number of invalid mappings',
      'mappings without vaddr are counted',
      ({ iommu }) => iommu.vaddrInvalidCount++,
    ],
    [
      'a group that is not counted',
      'groups are counted by dirty scope',
      ({ iommu }) => iommu.numNonPinnedGroups--,
    ],
    [
      'a missing bitmap',
      'a mapping has a bitmap while dirty pages are tracked',
      ({ iommu }) => (iommu.dirtyPageTracking = true),
    ],
    [
      'a mapping where none may be',
      'a mapping lies in usable addresses',
      ({ iommu }) => (iommu.iovaList = [{ start: 0, last: 1 }]),
    ],
    [
      'a leaf outside every mapping',
      'the leaves of a domain are the mappings',
      ({ iommu, pfn }) => iommu.domainList[0].domain.map(5, pfn, 1, 3),
    ],
    [
      'a leaf that is missing',
      'the leaves of a domain are the mappings',
      ({ iommu, dma }) => iommu.domainList[0].domain.unmap(dma.iovaPn + 3, 1),
    ],
    [
      'a leaf with another frame',
      'the leaves of a domain are the mappings',
      ({ iommu, dma, pfn }) => {
        const [{ domain }] = iommu.domainList;
        domain.unmap(dma.iovaPn + 3, 1);
        domain.map(dma.iovaPn + 3, pfn, 1, dma.prot);
      },
    ],
    [
      'a leaf that lets the device write',
      'the leaves of a domain are the mappings',
      ({ iommu, thp }) => {
        const [{ domain }] = iommu.domainList;
        domain.unmap(2 ** 19, 512);
        domain.map(2 ** 19, thp, 512, 3);
      },
    ],
    [
      'memory that is lost',
      'free pages and pages in use are all pages',
      ({ mm }) => mm.memory.memmap.allocFolio(2 ** 20 + 8, 0, 8),
    ],
    [
      'a huge page that is lost',
      'a huge page is free or in use',
      ({ mm }) => mm.memory.hugetlbPool(9)!.freeHugePages--,
    ],
    [
      'more reserved huge pages than there are',
      'reserved huge pages are free, or will be',
      ({ mm }) => (mm.memory.hugetlbPool(9)!.resvHugePages = 99),
    ],
    [
      'a warning of the kernel',
      'no kernel warning',
      ({ mm }) => mm.memory.warnOnce('vfio_unmap_unpin', 'could not be unmapped'),
    ],
  ])('%s', (_, invariant, breakIt) => {
    breakIt(parts);
    expect(parts.audit.check().map((violation) => violation.invariant)).toContain(invariant);
  });

  it('a page that may be moved away under the device', () => {
    const { machine, mm, dma } = parts;
    mm.memory.memmap.longtermPinnable = () => false;
    expect(new InvariantAudit(machine).check().map(({ invariant }) => invariant)).toContain(
      'no longterm pin in movable memory',
    );
    expect(dma.npage).toBe(4);
  });

  it('a mapping of pages that the process does not have', () => {
    const { machine, mm, vpn } = parts;
    mm.pageTable.setEntry(vpn, 0, 0, 0);
    expect(new InvariantAudit(machine).check().map(({ invariant }) => invariant)).toContain(
      'all pages of a new mapping are there',
    );
  });

  it('what is left when the process has ended', async () => {
    const { machine, audit, mm } = parts;
    const { memory } = mm;
    new MmStruct(memory);
    memory.memmap.allocFolio(2 ** 20 + 8, 0, 8);
    memory.vmstat.nrFollPinAcquired += 3;
    memory.hugetlbPool(9)!.resvHugePages = 1;
    expect(await machine.exit()).toBe(3);
    const found = audit.checkEnd().filter(({ invariant }) => invariant.endsWith('at the end'));
    expect(found.map(({ invariant }) => invariant)).toEqual([
      'no pin is left at the end',
      'no folio is left at the end',
      'no reservation is left at the end',
      'no address space is left at the end',
    ]);
  });
});

it('an mmap may put other pages where some were', () => {
  const { audit, mm, vpn, pfn } = parts;
  mm.pageTable.setEntry(vpn, pfn + 1, 0, PTE.present);
  const fixed = {
    op: 'mmap',
    name: 'B',
    kind: 'anon',
    size: 4096n,
    prot: 'rw',
    flags: [],
  } as const;
  const rules = audit.check(fixed).map(({ invariant }) => invariant);
  expect(rules).not.toContain('process and device see the same page');
  expect(audit.check().map(({ invariant }) => invariant)).not.toContain(
    'process and device see the same page',
  );
});
