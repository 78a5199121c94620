/**
 * `addext [dev=]`: the group of an emulated device joins, and the device is opened.
 *
 * @source README-extpin, "Operations"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev } from './arguments.ts';

/** The operation. */
export interface AddextOperation {
  /** Its op. */
  readonly op: 'addext';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const addext: GuestOp<AddextOperation> = {
  op: 'addext',
  summary: 'adds the group of an emulated device, and opens the device',
  entry: op({ dev }, ({ dev: alias = DEV }) => ({ op: 'addext', dev: alias })),
  perform({ vfio, devices }, { dev: alias }) {
    vfio.join(alias);
    return { code: devices.openFile(devices.get(alias)) };
  },
};
