/**
 * `closedev dev=`: the process closes a device.
 *
 * @source README-extpin, "Operations"
 */
import { op, needed, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ClosedevOperation {
  /** Its op. */
  readonly op: 'closedev';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const closedev: GuestOp<ClosedevOperation> = {
  op: 'closedev',
  summary: 'closes the device only',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'closedev', ...values })),
  perform({ devices }, { dev }) {
    return { code: devices.closeFile(devices.get(dev)) };
  },
};
