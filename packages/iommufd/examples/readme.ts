import { intelVtd } from '@pinfold/iommu';
import { Iommufd } from '@pinfold/iommufd';
import { createTask, mmapAnonymous } from '@pinfold/mm';

// A process maps 4 MiB at 256 MiB, and a device reaches them at iova 1 GiB.
const task = createTask();
const { mm } = task;
mmapAnonymous(mm, 0x10000, 1024);
const iommufd = new Iommufd({ memory: mm.memory });
const ioas = iommufd.ioasAlloc();
const device = iommufd.bind(intelVtd());
iommufd.attach(task, device, ioas.id);
const iova = 1n << 30n;
const args = { ioasId: ioas.id, userVa: 0x1000_0000n, length: 4n << 20n, iova };
iommufd.ioasMap(task, { flags: 7, ...args });
console.log(`mapped: ${mm.pinnedVm} pages pinned, ${task.user.lockedVm} charged to the user`);
iommufd.ioasUnmap(ioas.id, iova, 4n << 20n);
console.log(`unmapped: ${mm.pinnedVm} pages pinned, ${task.user.lockedVm} charged`);
