/**
 * `device dev=`: the process opens a device.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DeviceOperation {
  /** Its op. */
  readonly op: 'device';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const device: GuestOp<DeviceOperation> = {
  op: 'device',
  summary: 'opens the device',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'device', ...values })),
  perform({ devices }, { dev }) {
    return { code: devices.openFile(devices.get(dev)) };
  },
};
