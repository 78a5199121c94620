/**
 * `extension number=`: VFIO_CHECK_EXTENSION.
 *
 * @source drivers/vfio/container.c vfio_container_ioctl_check_extension, 6.16
 */
import { needed, number, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ExtensionOperation {
  /** Its op. */
  readonly op: 'extension';
  /** Number of the extension, or a type of VFIO_SET_IOMMU. */
  readonly number: number;
}

/** The op. */
export const extension: GuestOp<ExtensionOperation> = {
  op: 'extension',
  summary: 'VFIO_CHECK_EXTENSION of a number: 1 if the kernel has it, else 0',
  entry: op({ number: needed(number) }, (values) => ({ op: 'extension', ...values })),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform(guest, { number: extension }) {
    const ret = guest.needContainer().checkExtension(extension);
    return { code: ret, ext: { [extension]: ret } };
  },
};
