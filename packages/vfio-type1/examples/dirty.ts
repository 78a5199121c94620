import {
  LATEST_MM_RULES,
  MemMap,
  Memory,
  mmapMemory,
  MmStruct,
  PrescribedLayout,
  Task,
} from '@pinfold/mm';
import {
  openContainer,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  type DirtyBitmap,
} from '@pinfold/vfio-type1';

const memory = new Memory(new MemMap([{ pfn: 0x100000, npage: 32768 }]), LATEST_MM_RULES);
const mm = new MmStruct(memory);
const frames = new PrescribedLayout([{ vpn: 0x10000, pfn: 0x100000, npage: 9, order: 0 }]);
mmapMemory(mm, { vpn: 0x10000, npage: 9, kind: 'anon', order: 0, frames });
const container = openContainer({ memory });
container.dirtyPages({ flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_START });

// Nine pages, seven pages into the 64 pages that are read.
container.mapDma(new Task(mm), { vaddr: 0x1000_0000n, iova: 0x7000n, size: 0x9000n });
const range = { iova: 0n, size: 0x40000n, bitmap: { pgsize: 4096n, size: 8n } };
for (const read of ['first', 'second']) {
  const dirty = container.dirtyPages({ flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, range });
  show(read, dirty);
}
const flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
show('unmap', container.tryUnmapDma({ flags, ...range }).bitmap);

function show(when: string, bitmap: DirtyBitmap | null): void {
  const runs = Array.from(bitmap?.runs() ?? [], ([first, count]) => `${count} from ${first} on`);
  console.log(`${when}: ${runs.join(', ')}`);
}
