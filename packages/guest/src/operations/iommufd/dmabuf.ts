/**
 * `dmabuf name= dev= bar= off= size=`: a dma-buf of a part of a BAR.
 *
 * @source README-iofd, "Additional operations"
 */
import { bytes, newRegion, number, text, needed, optional, op } from '@pinfold/scenario';
import { Errno, pageNumber } from '@pinfold/base';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DmabufOperation {
  /** Its op. */
  readonly op: 'dmabuf';
  /** Name of the buffer. */
  readonly name: string;
  /** Alias of the device. */
  readonly dev: string;
  /** Number of the BAR. */
  readonly bar: number;
  /** First byte of the BAR. */
  readonly off: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const dmabuf: GuestOp<DmabufOperation> = {
  op: 'dmabuf',
  summary: 'a dma-buf of a part of a BAR, for ioas_map_file',
  entry: op(
    {
      ...{ name: needed(newRegion), dev: needed(text), bar: needed(number) },
      ...{ off: optional(bytes), size: needed(bytes) },
    },
    ({ off = 0n, ...values }) => ({ op: 'dmabuf', off, ...values }),
  ),
  layoutStays: true,
  perform({ iommufd, devices }, { name, dev, bar: number, off, size }) {
    const bar = devices.barOf(dev, number);
    if (typeof bar === 'number') return { code: bar };
    if (off + size > BigInt(bar.npage) * 4096n) return { code: -Errno.EINVAL };
    const [offset, npage] = [pageNumber(off), pageNumber(size)];
    iommufd.buffers.set(name, { bar, offset, npage });
    return { code: 0 };
  },
};
