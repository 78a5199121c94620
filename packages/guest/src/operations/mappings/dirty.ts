/**
 * `dirty what= [iova=] [size=] [pgsize=] [bmsize=] [bmmem=] [argsz=]`: VFIO_IOMMU_DIRTY_PAGES.
 *
 * @source recordings README, "Scenario language"
 */
import { op, bytes, flagBits, needed, number, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP } from '@pinfold/vfio-type1';
import { asBitmap, ioctlFailure, vfioBitmap } from '../../vfio/ioctl-fields.ts';
import { bitmap, bitmapBytes, PAGE } from './bitmap.ts';

/** Size of struct vfio_iommu_type1_dirty_bitmap, and with its _get after it. */
const DIRTY_ARGSZ = { plain: 8, get: 48 };

/** The operation. */
export interface DirtyOperation {
  /** Its op. */
  readonly op: 'dirty';
  /** VFIO_IOMMU_DIRTY_PAGES_FLAG_*: 1 start, 2 stop, 4 get. */
  readonly flags: number;
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Page size of one bit of the bitmap, in bytes. */
  readonly pgsize: bigint;
  /** Size of the bitmap in bytes. */
  readonly bmsize: bigint;
  /** Bytes of memory that there are for the bitmap, if not all. Pinfold's own. */
  readonly bmmem?: bigint;
  /** Bytes of the structure. */
  readonly argsz: number;
}

/** The op. */
export const dirty: GuestOp<DirtyOperation> = {
  op: 'dirty',
  summary: 'VFIO_IOMMU_DIRTY_PAGES: start, stop, get, or a number. bmmem: as of unmap',
  entry: op(
    {
      what: needed(flagBits({ start: 1, stop: 2, get: 4 })),
      ...{ iova: optional(bytes), size: optional(bytes), ...bitmap, argsz: optional(number) },
    },
    ({ what: flags, iova = 0n, size = 0n, pgsize = PAGE, bmsize, bmmem, argsz }) => ({
      ...{ op: 'dirty', flags, iova, size, pgsize, ...(bmmem !== undefined && { bmmem }) },
      bmsize: bmsize ?? bitmapBytes(size, pgsize),
      argsz:
        argsz ??
        (flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP ? DIRTY_ARGSZ.get : DIRTY_ARGSZ.plain),
    }),
  ),
  layoutStays: true,
  argumentOf: { flags: 'what' },
  perform(guest, operation) {
    const { flags, argsz, iova, size, pgsize, bmsize, bmmem } = operation;
    const range = { iova, size, bitmap: vfioBitmap(pgsize, bmsize, bmmem) };
    const done = guest.needContainer().tryDirtyPages({ flags, argsz, range });
    const wanted = (flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) !== 0;
    const shown = wanted ? { bitmap: asBitmap(done, size / pgsize) } : {};
    return { code: done.ret, flags, argsz, ...shown, ...ioctlFailure(done) };
  },
};
