/**
 * `pcicmd dev= val=`: the PCI command register of a device is written.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, number, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface PcicmdOperation {
  /** Its op. */
  readonly op: 'pcicmd';
  /** Alias of the device. */
  readonly dev: string;
  /** What is written. */
  readonly val: number;
}

/** The op. */
export const pcicmd: GuestOp<PcicmdOperation> = {
  op: 'pcicmd',
  summary: 'writes the PCI command register: 2 is memory decode, 4 is bus master',
  entry: op({ dev: needed(text), val: needed(number) }, (values) => ({ op: 'pcicmd', ...values })),
  perform({ process, devices }, { dev, val }) {
    return { code: devices.writeCommand(devices.get(dev), val, process.task.mm) };
  },
};
