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
import { VFIO_TYPE1v2_IOMMU, VfioContainer } from '@pinfold/vfio-type1';

const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), LATEST_MM_RULES);
const mm = new MmStruct(memory);
const frames = new PrescribedLayout([{ vpn: 0x10000, pfn: 0x100000, npage: 1024, order: 9 }]);
mmapMemory(mm, { vpn: 0x10000, npage: 1024, kind: 'anon', order: 9, frames });

const container = new VfioContainer({ memory });
const nic = { name: 'nic', unit: intelVtd(48) };
const gpu = { name: 'gpu', unit: intelVtd(39) };
container.addGroup(nic);
container.setIommu(VFIO_TYPE1v2_IOMMU);
container.mapDma(new Task(mm), { vaddr: 0x1000_0000n, iova: 0n, size: 4n << 20n });

/** Prints domains, the highest usable address and the pins that are held. */
function show(when: string): void {
  const caps = container.getInfo().caps;
  const last = caps.flatMap((cap) => (cap.name === 'iova_ranges' ? cap.ranges : [])).at(-1);
  const domains = container.iommu.domainList.length;
  const end = `0x${last?.end.toString(16) ?? ''}`;
  console.log(`${when}: ${domains} domain(s), up to ${end}, ${memory.vmstat.pinsHeld} pins`);
}

show('48 bits');
container.addGroup(gpu);
show('with 39 bits');
container.removeGroup(gpu);
show('without again');
container.removeGroup(nic);
console.log(`without a group: ${memory.vmstat.pinsHeld} pins, locked_vm ${mm.lockedVm}`);
