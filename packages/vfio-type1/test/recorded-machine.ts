/**
 * A machine that holds the memory of a recording: the frames lie where the real kernel's lay, and
 * every step is observed in the shape of the recording.
 */
import { byteAddress, pageNumber, type CounterValues } from '@pinfold/base';
import { intelVtd, type IoLeaf } from '@pinfold/iommu';
import { MemMap, Memory, mmapMemory, MmStruct, PrescribedLayout, Task } from '@pinfold/mm';
import { kernelVersion, VfioContainer, VFIO_TYPE1v2_IOMMU } from '../src/index.ts';
import type { RecordedStep, RecordedTable, Recording } from './recording.ts';

/** The guest has 7 GiB: 2 GiB below the PCI hole and the rest from 4 GiB on. */
const GUEST_MEMORY = [
  { pfn: 0, npage: 0x80000 },
  { pfn: 0x100000, npage: 5 * 0x40000 },
];

const LEAF_NAMES: Readonly<Record<number, '4K' | '2M' | '1G'>> = { 0: '4K', 9: '2M', 18: '1G' };

/** What a map or unmap step of the model shows, in the recording's words and units. */
export interface Observation {
  readonly ret: number;
  readonly sizeOut: string;
  readonly avail: number;
  readonly VmLck: number;
  readonly pins: { readonly acquired: number; readonly released: number };
  readonly counters: CounterValues;
}

/** Runs the map and unmap steps of a recording on the model. */
export class RecordedMachine {
  readonly #memory: Memory;
  readonly #mm: MmStruct;
  readonly #task: Task;
  readonly #container: VfioContainer;
  #region = { va: 0n, size: 0n };

  constructor(recording: Recording, memlock: number | null) {
    const kernel = kernelVersion(recording.kernel);
    this.#memory = new Memory(new MemMap(GUEST_MEMORY), kernel.mm);
    this.#mm = new MmStruct(this.#memory);
    // The recorded process is root: it has CAP_IPC_LOCK.
    this.#task = new Task(this.#mm, memlock ?? Infinity, true);
    this.#container = new VfioContainer({ kernel, memory: this.#memory });
    this.#container.addGroup({ name: 'edu', unit: intelVtd(recording.aw_bits) });
    this.#container.setIommu(VFIO_TYPE1v2_IOMMU);
  }

  /** Remembers where the region lies that the recording maps. */
  mmap(step: RecordedStep): void {
    this.#region = { va: field(step, 'va'), size: field(step, 'size') };
  }

  /** Populates the region with the frames that the recording shows. */
  populate(step: RecordedStep): void {
    const vpn = pageNumber(this.#region.va);
    const extents = Object.values(step.layout ?? {}).flat();
    const runs = extents.map(([offset, pfn, npage, order]) => ({
      vpn: vpn + offset,
      pfn,
      npage,
      order,
    }));
    const hugetlb = extents.some(([, , , , flags]) => flags.includes('h'));
    mmapMemory(this.#mm, {
      vpn,
      npage: pageNumber(this.#region.size),
      kind: hugetlb ? 'hugetlb' : 'anon',
      order: Math.max(...runs.map(({ order }) => order)),
      frames: new PrescribedLayout(runs),
    });
  }

  /** Does a map or unmap step with the recorded arguments. */
  ioctl(step: RecordedStep): Observation {
    const { counters, vmstat } = this.#memory;
    const earlier = counters.snapshot();
    const { nrFollPinAcquired, nrFollPinReleased } = vmstat;
    const [ret, size] = step.op === 'map' ? this.#map(step) : this.#unmap(step);
    return {
      ret,
      sizeOut: `0x${size.toString(16)}`,
      avail: this.#container.iommu.dmaAvail,
      VmLck: this.#mm.lockedVm * 4,
      pins: {
        acquired: vmstat.nrFollPinAcquired - nrFollPinAcquired,
        released: vmstat.nrFollPinReleased - nrFollPinReleased,
      },
      counters: counters.since(earlier),
    };
  }

  /** The IOMMU page table, adjacent leaves of one size and access merged as the recording does. */
  iommuTable(): RecordedTable {
    const domain = this.#container.iommu.domainList.at(0)?.domain;
    const leaves = [...(domain?.leaves() ?? [])];
    const runs = mergeLeaves(leaves).map(
      ({ iovaPn, pfn, npage, leaf, perm }): RecordedTable['runs'][number] => [
        bytes(iovaPn),
        bytes(pfn),
        bytes(npage),
        leaf,
        perm,
      ],
    );
    const count = (order: number): number => leaves.filter((leaf) => leaf.order === order).length;
    return {
      pt_pages: domain?.table.tablePages ?? 0,
      leaf: { '4K': count(0), '2M': count(9), '1G': count(18) },
      runs_total: runs.length,
      runs,
    };
  }

  #map(step: RecordedStep): [number, bigint] {
    const { ret } = this.#container.tryMapDma(this.#task, {
      ...common(step),
      vaddr: field(step, 'va'),
    });
    return [ret, field(step, 'size')];
  }

  #unmap(step: RecordedStep): [number, bigint] {
    const { ret, size } = this.#container.tryUnmapDma(common(step));
    return [ret, size];
  }
}

function common(step: RecordedStep): { iova: bigint; size: bigint; flags: number; argsz: number } {
  if (step.flags === undefined || step.argsz === undefined)
    throw new Error(`${step.line}: no flags or argsz`);
  return {
    iova: field(step, 'iova'),
    size: field(step, 'size'),
    flags: step.flags,
    argsz: step.argsz,
  };
}

function field(step: RecordedStep, name: 'iova' | 'va' | 'size'): bigint {
  const value = step[name];
  if (value === undefined) throw new Error(`${step.line}: no ${name}`);
  return BigInt(value);
}

function bytes(pn: number): string {
  return `0x${byteAddress(pn).toString(16)}`;
}

interface LeafRun {
  readonly iovaPn: number;
  readonly pfn: number;
  readonly leaf: '4K' | '2M' | '1G';
  readonly perm: 'r' | 'w' | 'rw';
  npage: number;
}

function mergeLeaves(leaves: readonly IoLeaf[]): LeafRun[] {
  const runs: LeafRun[] = [];
  for (const { iovaPn, pfn, order, prot } of leaves) {
    const leaf = LEAF_NAMES[order];
    const perm = prot === 3 ? 'rw' : prot === 2 ? 'w' : 'r';
    const last = runs.at(-1);
    const joins =
      last?.leaf === leaf &&
      last.perm === perm &&
      last.iovaPn + last.npage === iovaPn &&
      last.pfn + last.npage === pfn;
    if (joins) last.npage += 2 ** order;
    else runs.push({ iovaPn, pfn, leaf, perm, npage: 2 ** order });
  }
  return runs;
}
