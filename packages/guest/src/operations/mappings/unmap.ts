/**
 * `unmap iova= size= [flags=] [argsz=] [pgsize=] [bmsize=] [bmmem=]`: VFIO_IOMMU_UNMAP_DMA.
 *
 * @source recordings README, "Scenario language"
 */
import { op, bytes, flagBits, hex, needed, number, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP } from '@pinfold/vfio-type1';
import { asBitmap, ioctlFailure, vfioBitmap } from '../../vfio/ioctl-fields.ts';
import { bitmap, bitmapBytes, PAGE } from './bitmap.ts';

/** Size of struct vfio_iommu_type1_dma_unmap, and with a struct vfio_bitmap after it. */
const UNMAP_ARGSZ = { plain: 24, bitmap: 48 };

/** The operation. */
export interface UnmapOperation {
  /** Its op. */
  readonly op: 'unmap';
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** VFIO_DMA_UNMAP_FLAG_*. */
  readonly flags: number;
  /** Bytes of the structure. */
  readonly argsz: number;
  /** Page size of one bit of the bitmap, in bytes. */
  readonly pgsize?: bigint;
  /** Size of the bitmap in bytes. */
  readonly bmsize?: bigint;
  /** Bytes of memory that there are for the bitmap, if not all. Pinfold's own. */
  readonly bmmem?: bigint;
}

/** The op. */
export const unmap: GuestOp<UnmapOperation> = {
  op: 'unmap',
  summary:
    'VFIO_IOMMU_UNMAP_DMA. flags: all, vaddr, bitmap (with pgsize and bmsize), or a number. bmmem: bytes that can be written behind the pointer to the bitmap',
  entry: op(
    {
      ...{ iova: needed(bytes), size: needed(bytes) },
      ...{ flags: optional(flagBits({ all: 2, vaddr: 4, bitmap: 1 })), argsz: optional(number) },
      ...bitmap,
    },
    ({ pgsize = PAGE, bmsize, ...values }) => {
      const { flags = 0, size } = values;
      if (!(flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)) {
        return { op: 'unmap', flags, argsz: UNMAP_ARGSZ.plain, ...values };
      }
      const bits = { pgsize, bmsize: bmsize ?? bitmapBytes(size, pgsize) };
      return { op: 'unmap', flags, argsz: UNMAP_ARGSZ.bitmap, ...values, ...bits };
    },
  ),
  layoutStays: true,
  perform(guest, operation) {
    const container = guest.needContainer();
    const { iova, size, flags, argsz, pgsize = 4096n, bmsize, bmmem } = operation;
    const bitmap = bmsize === undefined ? {} : { bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
    const done = container.tryUnmapDma({ iova, size, flags, argsz, ...bitmap });
    const wanted = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
    const dirty = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
    const shown = { iova: hex(iova), size: hex(size), flags, argsz };
    return { code: done.ret, ...shown, size_out: hex(done.size), ...dirty, ...ioctlFailure(done) };
  },
};
