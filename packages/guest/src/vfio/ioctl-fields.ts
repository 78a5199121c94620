/** How the structures of an ioctl are made from an operation, and shown in an observation. */
import { hex, type DirtyBitmap as ShownBitmap, type IommuInfo } from '@pinfold/scenario';
import {
  DIRTY_BITMAP_SIZE_MAX,
  DirtyBitmap,
  type DirtyResult,
  type InfoResult,
  type VfioBitmap,
} from '@pinfold/vfio-type1';

/**
 * A struct vfio_bitmap.
 *
 * @param pgsize bytes that a bit stands for
 * @param size bytes of the bitmap
 * @param memory bytes of memory that its pointer points to; default: all
 * @returns the structure
 */
export function vfioBitmap(pgsize: bigint, size: bigint, memory?: bigint): VfioBitmap {
  if (memory === undefined) return { pgsize, size };
  // No bitmap that the kernel takes is longer, whatever lies behind it.
  const bytes = memory < DIRTY_BITMAP_SIZE_MAX ? memory : DIRTY_BITMAP_SIZE_MAX;
  return { pgsize, size, data: new DirtyBitmap(8 * Number(bytes)) };
}

/**
 * The program's bitmap: cleared before the call, shown after a failed one too, and of its last word
 * only what stands for pages of the range.
 *
 * @param result what the ioctl returned
 * @param pages pages of the range
 * @returns runs of set bits
 */
export function asBitmap({ bitmap }: Pick<DirtyResult, 'bitmap'>, pages: bigint): ShownBitmap {
  if (!bitmap) return { runs: [], set: 0 };
  bitmap.clear(Number(pages), bitmap.bits);
  return { runs: [...bitmap.runs()], set: bitmap.set };
}

/**
 * What GET_INFO tells, with its capability chain.
 *
 * @param result what it returned
 * @returns the fields of an observation; none when it failed
 */
export function asInfo({ info }: InfoResult): { info?: IommuInfo } {
  if (!info) return {};
  const caps = info.caps.map((cap) => {
    const { id, version, name } = cap;
    const header = { id, version, name };
    if (cap.name === 'migration') {
      const sizes = {
        pgsize_bitmap: hex(cap.pgsizeBitmap),
        max_dirty_bitmap_size: hex(cap.maxDirtyBitmapSize),
      };
      return { ...header, flags: cap.flags, ...sizes };
    }
    if (cap.name === 'dma_avail') return { ...header, avail: cap.avail };
    return { ...header, ranges: cap.ranges.map(({ start, end }) => [hex(start), hex(end)]) };
  });
  return { info: { argsz: info.argsz, flags: info.flags, pgsizes: hex(info.iovaPgsizes), caps } };
}
