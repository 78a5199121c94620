/**
 * `map iova= va= size= [flags=] [argsz=] [from=child]`: VFIO_IOMMU_MAP_DMA.
 *
 * @source recordings README, "Scenario language"
 */
import type { Task } from '@pinfold/mm';
import { op, bytes, flagBits, hex, needed, number, optional, word } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import type { IoctlResult } from '@pinfold/vfio-type1';
import { ioctlFailure } from '../../vfio/ioctl-fields.ts';
import { addressCost, pagesIn } from '../smaller.ts';

/** Size of struct vfio_iommu_type1_dma_map. */
const MAP_ARGSZ = 32;
/** VFIO_DMA_MAP_FLAG_READ and VFIO_DMA_MAP_FLAG_WRITE. */
const RW = 3;

/** The operation. */
export interface MapOperation {
  /** Its op. */
  readonly op: 'map';
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Address of the process in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** VFIO_DMA_MAP_FLAG_*. */
  readonly flags: number;
  /** Bytes of the structure. */
  readonly argsz: number;
  /** Who calls, if not the process: a child that ends right after. Pinfold's own. */
  readonly from?: 'child';
}

/** The op. */
export const map: GuestOp<MapOperation> = {
  op: 'map',
  summary:
    'VFIO_IOMMU_MAP_DMA. flags: rw (default), r, w, vaddr, or a number. from=child: a child that was just forked makes the call and ends; with vaddr it takes the mapping over',
  entry: op(
    {
      ...{ iova: needed(bytes), va: needed(bytes), size: needed(bytes) },
      ...{ flags: optional(flagBits({ rw: 3, r: 1, w: 2, vaddr: 4 })), argsz: optional(number) },
      from: optional(word('child')),
    },
    (values) => ({ op: 'map', flags: RW, argsz: MAP_ARGSZ, ...values }),
  ),
  smaller(operation) {
    return operation.flags === RW ? [] : [{ ...operation, flags: RW }];
  },
  cost({ iova, size, flags }) {
    return { mapped: pagesIn(size), other: addressCost(iova) + (flags === RW ? 0 : 1) };
  },
  perform(guest, operation) {
    const container = guest.needContainer();
    const { iova, size, flags, argsz, va: vaddr } = operation;
    const map = (task: Task): IoctlResult =>
      container.tryMapDma(task, { iova, vaddr, size, flags, argsz });
    const done = guest.process.by(operation.from ?? 'process', guest.childFrames, map);
    const shown = { iova: hex(iova), size: hex(size), flags, argsz };
    return { code: done.ret, ...shown, va: hex(vaddr), ...ioctlFailure(done) };
  },
};
