/**
 * `pinlist iovas= [dev=] [prot=]`: vfio_pin_pages for one page after the other.
 *
 * @source README-extpin, "Operations"
 */
import { op, access, addresses, needed, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev, RW } from './arguments.ts';

/** The operation. */
export interface PinlistOperation {
  /** Its op. */
  readonly op: 'pinlist';
  /** Alias of the device. */
  readonly dev: string;
  /** I/O virtual addresses in bytes. */
  readonly iovas: readonly bigint[];
  /** Access that the device wants. */
  readonly prot: number;
}

/** The op. */
export const pinlist: GuestOp<PinlistOperation> = {
  op: 'pinlist',
  summary: 'one call of vfio_pin_pages per address, of one page',
  entry: op({ iovas: needed(addresses), dev, prot: optional(access) }, (values) => ({
    ...{ op: 'pinlist', dev: DEV, prot: RW, ...values },
  })),
  perform({ external }, operation) {
    return external.list(operation);
  },
};
