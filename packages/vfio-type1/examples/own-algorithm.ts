import type { IovaPn, Pfn } from '@pinfold/base';
import {
  LATEST_MM_RULES,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import { openContainer, pinAlgorithm, type PinAlgorithm, type VfioDma } from '@pinfold/vfio-type1';

// What 6.18 does, but every chunk is remembered, so that unmapping need not read the IOMMU back.
const series = pinAlgorithm('series-1-4');
const chunks = new WeakMap<VfioDma, Map<IovaPn, { pfn: Pfn; npage: number }>>();
const remembering: PinAlgorithm = {
  ...series,
  name: 'remembering',
  summary: 'series-1-4 with a list of chunks in place of the iova_to_phys scan',
  source: 'an example',

  pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk) {
    const pinned = series.pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk);
    const known = chunks.get(dma) ?? new Map<IovaPn, { pfn: Pfn; npage: number }>();
    chunks.set(dma, known);
    if (pinned > 0) known.set(dma.iovaPn + dma.npage, { pfn: chunk.pfnBase, npage: pinned });
    return pinned;
  },

  nextUnmapRun(iommu, dma, iovaPn, npage, run) {
    const chunk = chunks.get(dma)?.get(iovaPn);
    if (chunk) Object.assign(run, chunk);
    else series.nextUnmapRun(iommu, dma, iovaPn, npage, run);
  },
};

for (const algorithm of [series, remembering]) {
  const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), LATEST_MM_RULES);
  const mm = new MmStruct(memory);
  const frames = new PrescribedLayout([{ vpn: 0x10000, pfn: 0x100000, npage: 4096, order: 9 }]);
  mmapMemory(mm, { vpn: 0x10000, npage: 4096, kind: 'anon', order: 9, frames });
  const container = openContainer({ memory, type1: { pinAlgorithm: algorithm } });
  container.mapDma(new Task(mm, Infinity), { vaddr: 0x1000_0000n, iova: 0n, size: 16n << 20n });
  container.unmapDma({ iova: 0n, size: 16n << 20n });
  const { iovaToPhysCalls, putCalls } = memory.counters.snapshot();
  const left = `${memory.vmstat.pinsHeld} pins left`;
  console.log(`${algorithm.name}: ${iovaToPhysCalls} iova_to_phys, ${putCalls} puts, ${left}`);
}
