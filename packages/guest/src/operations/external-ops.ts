/**
 * Ops of emulated devices, which pin the pages that they use themselves, and of bytes in memory.
 *
 * @source README-extpin, "Operations"
 */
import {
  access,
  addresses,
  bytes,
  flag,
  number,
  positiveBytes,
  signed,
  text,
  word,
  needed,
  optional,
  op,
  type Entry,
} from '@pinfold/scenario';
import type { ExternalOperation } from './external-operations.ts';

/** The device that is meant unless another is named. */
const DEV = 'ext0';
/** READ and WRITE. */
const RW = 3;
/** What `dmarw` and `poke` write: the letter A. */
const BYTE = 0x41;

const dev = { dev: optional(text) };
const from = { from: optional(word('kthread', 'child')) };
const pages = { iova: needed(bytes), n: optional(signed) };
const call = { ...dev, ...from, times: optional(number), forget: optional(flag) };
const call1 = { dev: DEV, from: 'process', n: 1, times: 1, forget: false } as const;
const memory = { va: needed(bytes), size: needed(positiveBytes) };

/** The entries, by name. */
export const externalEntries: Readonly<Record<string, Entry<ExternalOperation>>> = {
  addext: op(dev, ({ dev = DEV }) => ({ op: 'addext', dev })),
  delext: op({ ...dev, keepfd: optional(flag) }, ({ dev = DEV, keepfd = false }) => ({
    ...{ op: 'delext', dev, keepfd },
  })),
  unset: op(dev, ({ dev = DEV }) => ({ op: 'unset', dev })),
  closedev: op({ dev: needed(text) }, (values) => ({ op: 'closedev', ...values })),
  pin: op({ ...pages, prot: optional(access), ...call, null: optional(flag) }, (values) => ({
    op: 'pin',
    ...call1,
    prot: RW,
    null: false,
    ...values,
  })),
  unpin: op({ ...pages, ...call }, (values) => ({ op: 'unpin', ...call1, ...values })),
  pinlist: op({ iovas: needed(addresses), ...dev, prot: optional(access) }, (values) => ({
    ...{ op: 'pinlist', dev: DEV, prot: RW, ...values },
  })),
  unpinlist: op({ iovas: needed(addresses), ...dev }, (values) => ({
    ...{ op: 'unpinlist', dev: DEV, ...values },
  })),
  dmarw: op(
    {
      ...{ iova: needed(bytes), len: needed(number), write: needed(flag), byte: optional(number) },
      ...{ ...dev, ...from, null: optional(flag) },
    },
    (values) => ({
      ...{ op: 'dmarw', dev: DEV, from: 'process', byte: BYTE, null: false },
      ...values,
    }),
  ),
  extmode: op(
    {
      unmap: optional(word('all', 'none', 'skip', 'one', 'ref')),
      ...{ k: optional(number), keep: optional(flag), ...dev },
    },
    (values) => ({ op: 'extmode', dev: DEV, unmap: 'all', k: 0, keep: false, ...values }),
  ),
  poke: op({ ...memory, byte: optional(number) }, (values) => ({
    ...{ op: 'poke', byte: BYTE, ...values },
  })),
  peek: op(memory, (values) => ({ op: 'peek', ...values })),
};
