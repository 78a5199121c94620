/**
 * `opengroup dev=`: opens /dev/vfio/N.
 *
 * @source drivers/vfio/group.c vfio_group_fops_open, 6.16
 */
import { needed, op, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface OpengroupOperation {
  /** Its op. */
  readonly op: 'opengroup';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const opengroup: GuestOp<OpengroupOperation> = {
  op: 'opengroup',
  summary: "opens the file of the device's group only; no process can open it twice",
  entry: op({ dev: needed(text) }, (values) => ({ op: 'opengroup', ...values })),
  perform({ devices, process }, { dev }) {
    devices.openGroup(devices.get(dev), process.task);
    return { code: 0 };
  },
};
