/** A container with devices without an IOMMU only: mappings pin nothing, devices pin single pages. */
import { MemMap, Memory, MmStruct, Task } from '@pinfold/mm';
import {
  DEFAULT_MODULE_PARAMS,
  DirtyBitmap,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VfioIommu,
  VfioPfn,
  type VfioBitmap,
  type VfioDma,
} from '../src/index.ts';
import { vfioIommuType1DirtyPages, type DirtyOutcome } from '../src/dirty-pages.ts';
import { markDirty } from '../src/dirty.ts';
import { vfioDmaDoMap } from '../src/map.ts';
import { vfioDmaDoUnmap, type UnmapOutcome } from '../src/unmap.ts';
import { bytes } from './guest.ts';
import { RUNS } from './kernels.ts';

/** The state of such a container. */
export class Emulated {
  readonly memory: Memory;
  readonly task: Task;
  readonly iommu: VfioIommu;

  constructor(kernel = RUNS, v2 = true) {
    this.memory = new Memory(new MemMap([{ pfn: 2 ** 15, npage: 2 ** 15 }]), kernel.mm);
    this.task = new Task(new MmStruct(this.memory));
    this.iommu = new VfioIommu(this.memory, kernel.type1, DEFAULT_MODULE_PARAMS, v2);
  }

  /** VFIO_IOMMU_MAP_DMA in pages; returns 0 or a negative errno. */
  map(iovaPn: number, npage: number): number {
    const map = { iova: bytes(iovaPn), size: bytes(npage), vaddr: bytes(2 ** 20) };
    return vfioDmaDoMap(this.iommu, this.task, map);
  }

  /** The mapping that holds a page. */
  dmaAt(iovaPn: number): VfioDma {
    const dma = this.iommu.dmaList.find(iovaPn, 1);
    if (!dma) throw new Error(`page ${iovaPn} is not mapped`);
    return dma;
  }

  /** A device pins a page, at an offset in bytes. */
  pin(iovaPn: number, offset = 0): void {
    const dma = this.dmaAt(iovaPn);
    dma.pfnList.insert(new VfioPfn(iovaPn, 2 ** 15 + (iovaPn % 2 ** 15), offset));
    markDirty(this.iommu, dma, iovaPn, 1);
  }

  /** A device gives a page back. */
  unpin(iovaPn: number): void {
    const { pfnList } = this.dmaAt(iovaPn);
    for (const vpfn of [...pfnList]) if (vpfn.iovaPn === iovaPn) pfnList.erase(vpfn);
  }

  /** A device writes to pages without pinning them. */
  write(iovaPn: number, npage = 1): void {
    markDirty(this.iommu, this.dmaAt(iovaPn), iovaPn, npage);
  }

  /** VFIO_IOMMU_DIRTY_PAGES with START or STOP; returns 0 or a negative errno. */
  dirty(flags: number): number {
    return vfioIommuType1DirtyPages(this.iommu, { flags }).ret;
  }

  /** GET_BITMAP in pages. */
  get(iovaPn: number, npage: number, bitmap: Partial<VfioBitmap> = {}): DirtyOutcome {
    return vfioIommuType1DirtyPages(this.iommu, {
      flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
      range: {
        iova: bytes(iovaPn),
        size: bytes(npage),
        bitmap: { pgsize: 4096n, size: BigInt(bitmapBytes(npage)), ...bitmap },
      },
    });
  }

  /** VFIO_IOMMU_UNMAP_DMA with GET_DIRTY_BITMAP in pages. */
  unmap(iovaPn: number, npage: number): UnmapOutcome {
    const bitmap = { pgsize: 4096n, size: BigInt(bitmapBytes(npage)) };
    const range = { iova: bytes(iovaPn), size: bytes(npage) };
    return vfioDmaDoUnmap(this.iommu, { flags: 1, ...range, bitmap });
  }

  /** The runs of dirty pages that GET_BITMAP reads; its last word may go on behind the range. */
  runs(iovaPn: number, npage: number): number[][] {
    const { bitmap } = this.get(iovaPn, npage);
    bitmap?.clear(npage, 64);
    return runsOf(bitmap);
  }
}

/** Bytes of a bitmap for pages: whole words. */
export function bitmapBytes(npage: number): number {
  return Math.ceil(npage / 64) * 8;
}

/** Runs of a bitmap as [first bit, number of bits]. */
export function runsOf(bitmap: DirtyBitmap | null): number[][] {
  if (!bitmap) throw new Error('there is no bitmap');
  return Array.from(bitmap.runs(), (run) => [...run]);
}

/** A bitmap with these bits set. */
export function bitmapOf(bits: number, set: Iterable<number>): DirtyBitmap {
  const bitmap = new DirtyBitmap(bits);
  for (const bit of set) bitmap.fill(bit, 1);
  return bitmap;
}

/** The bits of a bitmap, one by one. */
export function bitsOf(bitmap: DirtyBitmap): boolean[] {
  return Array.from({ length: bitmap.bits }, (_, bit) => bitmap.has(bit));
}
