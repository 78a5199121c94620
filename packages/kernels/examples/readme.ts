import { kernelVersion } from '@pinfold/kernels';
import { createTask, mmapAnonymous } from '@pinfold/mm';
import { openContainer } from '@pinfold/vfio-type1';

// Linux 6.18. A process maps 4 MiB at 256 MiB, and a device reaches them at iova 0.
const kernel = kernelVersion('6.18');
const task = createTask({ rules: kernel.mm });
const { mm } = task;
mmapAnonymous(mm, 0x10000, 1024);
const container = openContainer({ kernel, memory: mm.memory });
container.mapDma(task, { vaddr: 0x1000_0000n, iova: 0n, size: 4n << 20n });
console.log(`mapped: ${mm.memory.vmstat.pinsHeld} pages pinned, ${mm.lockedVm} charged`);
container.unmapDma({ iova: 0n, size: 4n << 20n });
console.log(`unmapped: ${mm.memory.vmstat.pinsHeld} pages pinned, ${mm.lockedVm} charged`);
