/**
 * `delgroup dev=`: the group of a device leaves the container.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DelgroupOperation {
  /** Its op. */
  readonly op: 'delgroup';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const delgroup: GuestOp<DelgroupOperation> = {
  op: 'delgroup',
  summary: 'takes the group of a device out of the container',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'delgroup', ...values })),
  perform({ devices }, { dev }) {
    devices.leave(devices.get(dev));
    return { code: 0 };
  },
};
