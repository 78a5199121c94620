import { createTask, mmapAnonymous } from '@pinfold/mm';
import { openContainer } from '@pinfold/vfio-type1';

// A process maps 4 MiB at 256 MiB, and a device reaches them at iova 0.
const task = createTask();
const { mm } = task;
mmapAnonymous(mm, 0x10000, 1024);
const container = openContainer({ memory: mm.memory });
container.mapDma(task, { vaddr: 0x1000_0000n, iova: 0n, size: 4n << 20n });
console.log(`mapped: ${mm.memory.vmstat.pinsHeld} pages pinned, ${mm.lockedVm} charged`);
container.unmapDma({ iova: 0n, size: 4n << 20n });
console.log(`unmapped: ${mm.memory.vmstat.pinsHeld} pages pinned, ${mm.lockedVm} charged`);
