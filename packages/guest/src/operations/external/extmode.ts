/**
 * `extmode [unmap=] [k=] [keep=] [dev=]`: what a device gives back, and when.
 *
 * @source README-extpin, "Operations"
 */
import { op, flag, number, optional, word } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev } from './arguments.ts';

/** What a device gives back when a mapping is removed: everything, nothing, nothing k times, or piece by piece. */
export type UnmapMode = 'all' | 'none' | 'skip' | 'one' | 'ref';

/** The operation. */
export interface ExtmodeOperation {
  /** Its op. */
  readonly op: 'extmode';
  /** Alias of the device. */
  readonly dev: string;
  /** What it gives back when a mapping goes. */
  readonly unmap: UnmapMode;
  /** Times that mode `skip` gives nothing back. */
  readonly k: number;
  /** Whether it keeps its pins when it is closed. */
  readonly keep: boolean;
}

/** The op. */
export const extmode: GuestOp<ExtmodeOperation> = {
  op: 'extmode',
  summary:
    'what the driver unpins when a mapping is removed: all (default), none, skip (nothing k times, then all), one (all references of a page per call), ref (one per call). keep=1: nothing when the device is closed',
  entry: op(
    {
      unmap: optional(word('all', 'none', 'skip', 'one', 'ref')),
      ...{ k: optional(number), keep: optional(flag), dev },
    },
    (values) => ({ op: 'extmode', dev: DEV, unmap: 'all', k: 0, keep: false, ...values }),
  ),
  layoutStays: true,
  perform({ devices }, operation) {
    devices.emulated(operation.dev).ext.setMode(operation);
    return { code: 0 };
  },
};
