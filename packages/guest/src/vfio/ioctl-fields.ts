/** How the structures of an ioctl are made from an operation, and shown in an observation. */
import {
  failureOf,
  hex,
  type DirtyBitmap as ShownBitmap,
  type Failure,
  type IommuInfo,
  type Observation,
} from '@pinfold/scenario';
import type { GuestContainer } from './compat-container.ts';
import {
  DIRTY_BITMAP_SIZE_MAX,
  DirtyBitmap,
  type DirtyResult,
  type InfoResult,
  type IoctlResult,
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

/** Room that the program gives GET_INFO, in bytes. */
export const INFO_ARGSZ = 8192;
/** Extensions that the program asks for: from 1 to this. */
const LAST_EXTENSION = 11;

/**
 * What the program asks right after it has opened a container.
 *
 * @param container the container
 * @param opened whether it has got its IOMMU
 * @returns the extensions that it has; once it has its IOMMU, what GET_INFO tells too
 */
export function shownAtOpen(container: GuestContainer, opened: boolean): Partial<Observation> {
  const numbers = Array.from({ length: LAST_EXTENSION }, (_, i) => i + 1);
  const ext = Object.fromEntries(numbers.map((n) => [n, container.checkExtension(n)]));
  return { ext, ...(opened && container.hasIommu ? asInfo(container.tryGetInfo(INFO_ARGSZ)) : {}) };
}

/**
 * Why an ioctl has failed.
 *
 * @param result what it returned
 * @returns the check that refused it; nothing if it has succeeded
 */
export function ioctlFailure({ ret, at, detail }: IoctlResult): { failure?: Failure } {
  return ret < 0 ? { failure: failureOf(at, detail) } : {};
}
