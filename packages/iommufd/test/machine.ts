/** A process with an IOAS and a device, for tests. */
import { intelVtd } from '@pinfold/iommu';
import {
  MemMap,
  Memory,
  LATEST_MM_RULES,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  Task,
  type LayoutRun,
} from '@pinfold/mm';
import { Iommufd, type IommufdDevice, type IommufdIoas } from '@pinfold/iommufd';

export const GIB = 2n ** 30n;
export const MIB = 2n ** 20n;
export const FIXED_RW = 7;
/** Where the memory of a test lies: page 0x10000. */
export const VA = 0x1000_0000n;

export interface Machine {
  readonly task: Task;
  readonly mm: MmStruct;
  readonly memory: Memory;
  readonly iommufd: Iommufd;
  readonly ioas: IommufdIoas;
  readonly device: IommufdDevice;
}

/** Memory with the frames of a layout at {@link VA}; the device is attached unless told. */
export function boot(
  layout: readonly Omit<LayoutRun, 'vpn'>[],
  { attached = true, memlock = Infinity }: { attached?: boolean; memlock?: number } = {},
): Machine {
  const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 65536 }]), LATEST_MM_RULES);
  const mm = new MmStruct(memory);
  let vpn = 0x10000;
  for (const run of layout) {
    const frames = new PrescribedLayout([{ vpn, ...run }]);
    mmapMemory(mm, { vpn, npage: run.npage, kind: 'anon', order: run.order, frames });
    vpn += run.npage;
  }
  const task = new Task(mm, memlock);
  const iommufd = new Iommufd({ memory });
  const ioas = iommufd.ioasAlloc();
  const device = iommufd.bind(intelVtd());
  if (attached) iommufd.attach(task, device, ioas.id);
  return { task, mm, memory, iommufd, ioas, device };
}

/** Maps memory at an I/O virtual address. */
export function map(
  { iommufd, ioas, task }: Machine,
  iova: bigint,
  length: bigint,
  { userVa = VA, flags = FIXED_RW, ioasId = ioas.id } = {},
): { ret: number; iova: bigint } {
  return iommufd.ioasMap(task, { flags, ioasId, userVa, length, iova });
}
