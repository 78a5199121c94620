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
  perform({ process, devices, iommufd }, { dev, val }) {
    const device = devices.get(dev);
    const code = devices.writeCommand(device, val, process.task.mm);
    // Taking memory decode away takes the BARs out of what iommufd has mapped.
    for (const bar of device.bars.values()) {
      if (!bar.enabled) iommufd.revoke(bar);
    }
    return { code };
  },
};
