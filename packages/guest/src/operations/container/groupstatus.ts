/**
 * `groupstatus dev=`: VFIO_GROUP_GET_STATUS.
 *
 * @source drivers/vfio/group.c vfio_group_ioctl_get_status, 6.16
 */
import { needed, op, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface GroupstatusOperation {
  /** Its op. */
  readonly op: 'groupstatus';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const groupstatus: GuestOp<GroupstatusOperation> = {
  op: 'groupstatus',
  summary: 'VFIO_GROUP_GET_STATUS: 1 is viable, 2 is in a container',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'groupstatus', ...values })),
  perform({ devices }, { dev }) {
    return { code: 0, flags: devices.groupStatus(devices.get(dev)) };
  },
};
