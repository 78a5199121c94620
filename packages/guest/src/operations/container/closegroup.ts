/**
 * `closegroup dev=`: closes /dev/vfio/N.
 *
 * @source drivers/vfio/group.c vfio_group_fops_release, 6.16
 */
import { needed, op, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ClosegroupOperation {
  /** Its op. */
  readonly op: 'closegroup';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const closegroup: GuestOp<ClosegroupOperation> = {
  op: 'closegroup',
  summary: 'closes the file of the group only; a device that is open keeps it',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'closegroup', ...values })),
  perform({ devices }, { dev }) {
    return { code: devices.closeGroupFile(devices.get(dev)) };
  },
};
