/**
 * `setcontainer dev=`: VFIO_GROUP_SET_CONTAINER.
 *
 * @source drivers/vfio/group.c vfio_group_ioctl_set_container, 6.16
 */
import { needed, op, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface SetcontainerOperation {
  /** Its op. */
  readonly op: 'setcontainer';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const setcontainer: GuestOp<SetcontainerOperation> = {
  op: 'setcontainer',
  summary: 'VFIO_GROUP_SET_CONTAINER of a group that is open',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'setcontainer', ...values })),
  perform({ devices, vfio, process }, { dev }) {
    devices.setContainer(devices.get(dev), vfio.needContainer(), process.task);
    return { code: 0 };
  },
};
