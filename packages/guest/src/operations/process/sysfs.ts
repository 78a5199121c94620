/**
 * `sysfs path= val=`: root writes a file of sysfs.
 *
 * @source recordings README, "Scenario language"
 */
import { text, needed, op } from '@pinfold/scenario';
import { writeSysfs } from '../../sysfs/sysfs.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface SysfsOperation {
  /** Its op. */
  readonly op: 'sysfs';
  /** The file. */
  readonly path: string;
  /** What is written. */
  readonly val: string;
}

/** The op. */
export const sysfs: GuestOp<SysfsOperation> = {
  op: 'sysfs',
  summary: 'writes a file of sysfs, such as a module parameter',
  entry: op({ path: needed(text), val: needed(text) }, (values) => ({ op: 'sysfs', ...values })),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform(guest, { path, val }) {
    return writeSysfs(path, val, guest);
  },
};
