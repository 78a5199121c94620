import { COUNTER_NAMES } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { MemMap, Memory, mmapMemory, MmStruct, PrescribedLayout, Task } from '@pinfold/mm';
import { openContainer } from '@pinfold/vfio-type1';

// 4 MiB of THP: two folios of 2 MiB that are not adjacent.
const frames = new PrescribedLayout([
  { vpn: 0x10000, pfn: 0x100400, npage: 512, order: 9 },
  { vpn: 0x10200, pfn: 0x100000, npage: 512, order: 9 },
]);
const [before, after] = ['6.16', '6.18'].map((series) => {
  const kernel = kernelVersion(series);
  const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), kernel.mm);
  const mm = new MmStruct(memory);
  mmapMemory(mm, { vpn: 0x10000, npage: 1024, kind: 'anon', order: 9, frames });
  const container = openContainer({ kernel, memory });
  container.mapDma(new Task(mm), { vaddr: 0x1000_0000n, iova: 0n, size: 4n << 20n });
  container.unmapDma({ iova: 0n, size: 4n << 20n });
  return memory.counters.snapshot();
});
for (const name of COUNTER_NAMES) {
  if (before[name] !== after[name]) console.log(`${name}: ${before[name]} -> ${after[name]}`);
}
