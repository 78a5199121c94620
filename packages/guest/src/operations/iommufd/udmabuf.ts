/**
 * `udmabuf name= size=`: a dma-buf of an exporter that is not vfio-pci.
 *
 * @source README-iofd, "Additional operations"
 */
import { bytes, newRegion, needed, op } from '@pinfold/scenario';
import { pageNumber } from '@pinfold/base';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface UdmabufOperation {
  /** Its op. */
  readonly op: 'udmabuf';
  /** Name of the buffer. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const udmabuf: GuestOp<UdmabufOperation> = {
  op: 'udmabuf',
  summary: 'a dma-buf of an exporter that is not vfio-pci',
  entry: op({ name: needed(newRegion), size: needed(bytes) }, (values) => ({
    op: 'udmabuf',
    ...values,
  })),
  layoutStays: true,
  perform({ iommufd }, { name, size }) {
    iommufd.buffers.set(name, { bar: null, offset: 0, npage: pageNumber(size) });
    return { code: 0 };
  },
};
