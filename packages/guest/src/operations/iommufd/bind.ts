/**
 * `bind [dev=]`: opens the device and binds it to the iommufd.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface BindOperation {
  /** Its op. */
  readonly op: 'bind';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const bind: GuestOp<BindOperation> = {
  op: 'bind',
  summary: 'opens a device and binds it to the iommufd',
  entry: op({ dev: optional(text) }, ({ dev = 'edu' }) => ({ op: 'bind', dev })),
  layoutStays: true,
  perform({ iommufd, devices }, { dev }) {
    return { code: 0, devid: iommufd.bind(devices.get(dev)).id };
  },
};
