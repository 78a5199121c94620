import { KernelError } from '@pinfold/base';
import {
  LATEST_MM_RULES,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import { openContainer } from '@pinfold/vfio-type1';

const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), LATEST_MM_RULES);
const mm = new MmStruct(memory);
const frames = new PrescribedLayout([{ vpn: 0x10000, pfn: 0x100000, npage: 4096, order: 9 }]);
mmapMemory(mm, { vpn: 0x10000, npage: 4096, kind: 'anon', order: 9, frames });
const container = openContainer({ memory });

// 16 MiB under an RLIMIT_MEMLOCK of 8 MiB, without CAP_IPC_LOCK.
const task = new Task(mm, 8 * 2 ** 20);
const map = { vaddr: 0x1000_0000n, iova: 0n, size: 16n << 20n };
try {
  container.mapDma(task, map);
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(error.message);
}
console.log(`locked_vm ${mm.lockedVm}, pins held ${memory.vmstat.pinsHeld}`);

task.rlimitMemlock = 16 * 2 ** 20;
console.log(`with 16 MiB: ${container.tryMapDma(task, map).ret}, locked_vm ${mm.lockedVm}`);
