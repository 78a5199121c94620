import { intelVtd } from '@pinfold/iommu';
import { kernelVersions } from '@pinfold/kernels';
import {
  MemMap,
  Memory,
  mmapMemory,
  mmapPfnmap,
  MmStruct,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import { VFIO_TYPE1v2_IOMMU, VfioContainer } from '@pinfold/vfio-type1';

// 513 pages of 4 KiB, the last of them apart from the others, and behind them a BAR of 16 MiB.
const frames = new PrescribedLayout([
  { vpn: 0x101ff, pfn: 0x100000, npage: 512, order: 0 },
  { vpn: 0x103ff, pfn: 0x104000, npage: 1, order: 0 },
]);
for (const kernel of kernelVersions) {
  const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), kernel.mm);
  const mm = new MmStruct(memory);
  mmapMemory(mm, { vpn: 0x101ff, npage: 513, kind: 'anon', order: 0, frames });
  mmapPfnmap(mm, { vpn: 0x10400, npage: 4096, pfn: 0x400000 });
  const container = new VfioContainer({ kernel, memory });
  const group = { name: 'nic', unit: intelVtd() };
  container.addGroup(group);
  container.setIommu(VFIO_TYPE1v2_IOMMU);
  const tables = container.domainOf(group)?.table.tablePages;
  container.mapDma(new Task(mm), { vaddr: 0x101f_f000n, iova: 0n, size: 4609n * 4096n });
  const { gupCalls, pfnmapFollows } = memory.counters.snapshot();
  console.log(
    `${kernel.series.padEnd(4)} ${kernel.type1.pinAlgorithm.name.padEnd(18)}`,
    `${gupCalls} GUP calls, ${pfnmapFollows} walks of the BAR,`,
    `${memory.vmstat.nrFollPinAcquired} pins taken, ${memory.vmstat.nrFollPinReleased} given back,`,
    `page tables after attaching: ${tables}`,
  );
}
