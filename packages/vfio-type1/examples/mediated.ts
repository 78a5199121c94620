import { intelVtd } from '@pinfold/iommu';
import {
  LATEST_MM_RULES,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import { VFIO_TYPE1v2_IOMMU, VfioContainer, type VfioDevice } from '@pinfold/vfio-type1';

const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), LATEST_MM_RULES);
const mm = new MmStruct(memory);
const frames = new PrescribedLayout([{ vpn: 0x10000, pfn: 0x100000, npage: 16, order: 0 }]);
mmapMemory(mm, { vpn: 0x10000, npage: 16, kind: 'anon', order: 0, frames });
const container = new VfioContainer({ memory });

// A mediated device: it pins what it uses, and gives it back when the mapping goes.
const gpu: VfioDevice = {
  name: 'vgpu',
  group: { emulated: true, name: 'vgpu' },
  dmaUnmap(iova, size) {
    console.log(`told of 0x${iova.toString(16)}, ${size / 4096n} pages`);
    container.unpinPages(gpu, 0x3000n, 4);
  },
};
container.addGroup(gpu.group);
container.setIommu(VFIO_TYPE1v2_IOMMU);
container.openDevice(gpu);

container.mapDma(new Task(mm), { vaddr: 0x1000_0000n, iova: 0n, size: 0x10000n });
show('mapped');
container.pinPages(gpu, 0x3000n, 4, 3);
show('pinned');
const nic = { name: 'nic', unit: intelVtd() };
container.addGroup(nic);
show('with an IOMMU');
container.removeGroup(nic);
show('without it');
container.unmapDma({ iova: 0n, size: 0x10000n });
show('unmapped');

function show(when: string): void {
  console.log(`${when}: ${memory.vmstat.pinsHeld} pins, ${mm.lockedVm} charged`);
}
