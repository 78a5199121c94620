/**
 * `delext [dev=] [keepfd=]`: the device is closed, and its group leaves.
 *
 * @source README-extpin, "Operations"
 */
import { op, flag, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev } from './arguments.ts';

/** The operation. */
export interface DelextOperation {
  /** Its op. */
  readonly op: 'delext';
  /** Alias of the device. */
  readonly dev: string;
  /** Whether the device file stays open. */
  readonly keepfd: boolean;
}

/** The op. */
export const delext: GuestOp<DelextOperation> = {
  op: 'delext',
  summary: 'closes the device and removes its group. keepfd=1: its file stays open',
  entry: op({ dev, keepfd: optional(flag) }, ({ dev: alias = DEV, keepfd = false }) => ({
    ...{ op: 'delext', dev: alias, keepfd },
  })),
  perform({ devices }, { dev: alias, keepfd }) {
    const device = devices.get(alias);
    if (!keepfd) devices.closeFile(device);
    devices.unset(device);
    // The group's file stays open when the group could not leave its container.
    devices.closeGroup(device.group);
    return { code: 0 };
  },
};
