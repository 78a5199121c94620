/**
 * Random machines for property tests: memory of every kind that can be populated, behind one
 * container, built from a plain description that fast-check can shrink.
 */
import fc from 'fast-check';
import { intelVtd } from '@pinfold/iommu';
import {
  MemMap,
  Memory,
  mmapMemory,
  mmapPfnmap,
  MmStruct,
  PAGES_PER_SECTION,
  PrescribedLayout,
  Task,
  type LayoutRun,
  type MemoryModel,
  type MmRules,
} from '@pinfold/mm';
import {
  VfioContainer,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  type KernelVersion,
  type PinAlgorithm,
} from '../src/index.ts';

/** First virtual page of the first segment: aligned to 1 GiB. */
export const FIRST_VPN = 0x1000000;
/** First frame of RAM, on a section border; a hole of one section and movable memory follow. */
const RAM = 32 * PAGES_PER_SECTION;
const HOLE = RAM + 3 * PAGES_PER_SECTION;
const HIGH_RAM = HOLE + PAGES_PER_SECTION;
const MOVABLE = HIGH_RAM + 2 * PAGES_PER_SECTION;
/** First frame of device memory, above all RAM and aligned to 1 GiB. */
const DEVICE = 2 ** 22;

/** A piece of the address space. */
export type Segment =
  | {
      readonly kind: 'small';
      readonly npage: number;
      readonly order: 'run' | 'swapped' | 'backwards';
      readonly access: Access;
    }
  | {
      readonly kind: 'large';
      readonly folioOrder: number;
      readonly folios: number;
      readonly slice: number;
      readonly access: Access;
    }
  | {
      readonly kind: 'thp';
      readonly folios: number;
      readonly swapped: boolean;
      readonly shift: number;
      readonly access: Access;
    }
  | {
      readonly kind: 'bar';
      readonly npage: number;
      readonly maxLeafOrder: number;
      readonly shift: number;
      readonly access: Access;
    }
  | { readonly kind: 'movable'; readonly npage: number }
  | { readonly kind: 'hole'; readonly npage: number };

type Access = 'rw' | 'r' | 'w';

/** A machine and what its container is opened with. */
export interface MachineSpec {
  readonly model: MemoryModel;
  readonly segments: readonly Segment[];
  /** Frames are handed out from this many pages before a section border on. */
  readonly beforeBorder: number;
  /** Whether they are taken from the memory after the hole. */
  readonly high: boolean;
  readonly addressWidth: 39 | 48 | 57;
  readonly v2: boolean;
  readonly disableHugepages: boolean;
  readonly dmaEntryLimit: number;
  readonly memlockPages: number;
  readonly capIpcLock: boolean;
}

const access = fc.constantFrom<Access>('rw', 'rw', 'rw', 'r', 'w');

const segment: fc.Arbitrary<Segment> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('small' as const),
      npage: fc.integer({ min: 1, max: 40 }),
      order: fc.constantFrom('run' as const, 'swapped' as const, 'backwards' as const),
      access,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('large' as const),
      folioOrder: fc.integer({ min: 1, max: 8 }),
      folios: fc.integer({ min: 1, max: 3 }),
      slice: fc.integer({ min: 0, max: 5 }),
      access,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('thp' as const),
      folios: fc.integer({ min: 1, max: 2 }),
      swapped: fc.boolean(),
      shift: fc.constantFrom(0, 0, 1, 511),
      access,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('bar' as const),
      npage: fc.integer({ min: 1, max: 600 }),
      maxLeafOrder: fc.constantFrom(0, 9, 18),
      shift: fc.constantFrom(0, 0, 3),
      access: fc.constantFrom<Access>('rw', 'r'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('movable' as const),
      npage: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('hole' as const),
      npage: fc.integer({ min: 1, max: 3 }),
    }),
  },
);

/** Descriptions of machines. */
export const machineSpec: fc.Arbitrary<MachineSpec> = fc.record({
  model: fc.constantFrom<MemoryModel>('sparsemem-vmemmap', 'sparsemem'),
  segments: fc.array(segment, { minLength: 1, maxLength: 6 }),
  beforeBorder: fc.integer({ min: 0, max: 700 }),
  high: fc.boolean(),
  addressWidth: fc.constantFrom(39 as const, 48 as const, 57 as const),
  v2: fc.boolean(),
  disableHugepages: fc.boolean(),
  dmaEntryLimit: fc.constantFrom(65535, 2),
  memlockPages: fc.oneof(fc.constant(2 ** 40), fc.integer({ min: 0, max: 700 })),
  capIpcLock: fc.boolean(),
});

/** A built machine. */
export interface Machine {
  readonly memory: Memory;
  readonly mm: MmStruct;
  readonly task: Task;
  readonly container: VfioContainer;
  /** Pages of the populated part of the address space, holes included. */
  readonly npage: number;
}

/** Builds a machine on a kernel, with parts of the kernel replaced. */
export function buildMachine(
  spec: MachineSpec,
  kernel: KernelVersion,
  replaced: { readonly mm?: MmRules; readonly pinAlgorithm?: PinAlgorithm } = {},
): Machine {
  const ranges = [
    { pfn: RAM, npage: HOLE - RAM },
    { pfn: HIGH_RAM, npage: 2 * PAGES_PER_SECTION },
    { pfn: MOVABLE, npage: PAGES_PER_SECTION, zone: 'movable' as const },
  ];
  const memory = new Memory(new MemMap(ranges, spec.model, 1), replaced.mm ?? kernel.mm);
  const mm = new MmStruct(memory);
  const npage = populate(mm, spec);
  const container = new VfioContainer({
    kernel,
    memory,
    params: { disableHugepages: spec.disableHugepages, dmaEntryLimit: spec.dmaEntryLimit },
    ...(replaced.pinAlgorithm && { type1: { pinAlgorithm: replaced.pinAlgorithm } }),
  });
  container.addGroup({ name: 'device', unit: intelVtd(spec.addressWidth) });
  container.setIommu(spec.v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
  const task = new Task(mm, spec.memlockPages * 4096, spec.capIpcLock);
  return { memory, mm, task, container, npage };
}

/** Lays the segments side by side in the address space; returns its pages. */
function populate(mm: MmStruct, spec: MachineSpec): number {
  let vpn = FIRST_VPN;
  let pfn = (spec.high ? HIGH_RAM : RAM) + PAGES_PER_SECTION - spec.beforeBorder;
  let movable = MOVABLE;
  let device = DEVICE;
  for (const segment of spec.segments) {
    if (segment.kind === 'hole') vpn += segment.npage;
    else if (segment.kind === 'movable') {
      mapRuns(mm, vpn, 'rw', smallRuns(vpn, movable, segment.npage, 'run'));
      vpn += segment.npage;
      movable += segment.npage;
    } else if (segment.kind === 'bar') {
      const { npage, maxLeafOrder, shift } = segment;
      mmapPfnmap(mm, { vpn, npage, pfn: device + shift, maxLeafOrder, prot: prot(segment.access) });
      vpn += npage;
      device += 2 ** 11;
    } else {
      const runs = memoryRuns(segment, vpn, pfn);
      mapRuns(mm, vpn, segment.access, runs);
      vpn = Math.max(...runs.map((run) => run.vpn + run.npage));
      // The next segment's frames follow at once, so that runs cross folios and segments.
      pfn = Math.max(...runs.map((run) => alignUp(run.pfn + run.npage, run.order)));
    }
  }
  return vpn - FIRST_VPN;
}

function alignUp(pn: number, order: number): number {
  return Math.ceil(pn / 2 ** order) * 2 ** order;
}

function mapRuns(mm: MmStruct, vpn: number, allowed: Access, runs: readonly LayoutRun[]): void {
  const npage = Math.max(...runs.map((run) => run.vpn + run.npage)) - vpn;
  const order = Math.max(...runs.map((run) => run.order));
  mmapMemory(mm, {
    vpn,
    npage,
    kind: 'anon',
    order,
    prot: prot(allowed),
    frames: new PrescribedLayout(runs),
  });
}

function prot(allowed: Access): { read: boolean; write: boolean } {
  return { read: allowed !== 'w', write: allowed !== 'r' };
}

function memoryRuns(
  segment: Exclude<Segment, { kind: 'hole' | 'bar' | 'movable' }>,
  vpn: number,
  pfn: number,
): LayoutRun[] {
  if (segment.kind === 'small') return smallRuns(vpn, pfn, segment.npage, segment.order);
  if (segment.kind === 'large') {
    const pages = 2 ** segment.folioOrder;
    const slice = Math.min(segment.slice, pages - 1);
    const head = alignUp(pfn, segment.folioOrder);
    // A slice of every folio, as two VMAs or a private file mapping leave it.
    return Array.from({ length: segment.folios }, (_, i) => ({
      vpn: vpn + i * (pages - slice),
      pfn: head + i * pages + slice,
      npage: pages - slice,
      order: segment.folioOrder,
    }));
  }
  const head = alignUp(pfn, 9);
  const start = alignUp(vpn, 9) + segment.shift;
  const last = segment.folios - 1;
  const folio = (i: number): number => (segment.swapped ? last - i : i);
  return Array.from({ length: segment.folios }, (_, i) => ({
    vpn: start + i * 512,
    pfn: head + folio(i) * 512,
    npage: 512,
    order: 9,
  }));
}

function smallRuns(
  vpn: number,
  pfn: number,
  npage: number,
  order: 'run' | 'swapped' | 'backwards',
): LayoutRun[] {
  if (order === 'run') return [{ vpn, pfn, npage, order: 0 }];
  return Array.from({ length: npage }, (_, i) => {
    const swapped = (i ^ 1) < npage ? i ^ 1 : i;
    return {
      vpn: vpn + i,
      pfn: pfn + (order === 'swapped' ? swapped : npage - 1 - i),
      npage: 1,
      order: 0,
    };
  });
}
