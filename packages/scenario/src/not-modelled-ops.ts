/**
 * Ops that recordings have and the model has not: they are read, and refused when they are to be
 * done.
 *
 * @source recordings README, "Scenario language"; README-extpin, "Operations"
 */
import { bytes, number, text, word } from './argument-kinds.ts';
import { needed, optional } from './argument.ts';
import { notModelled, undescribed, type Entry } from './op-entry.ts';

const dev = { dev: optional(text) };
const call = { ...dev, times: optional(number), from: optional(word('kthread', 'child')) };
/** Both may be negative: the kernel is asked what it says to that. */
const access = { prot: optional(text) };
const pages = { n: optional(text) };
const list = { iovas: needed(text), ...dev };
const memory = { va: needed(bytes), size: needed(bytes), byte: optional(number) };

/** The entries, by name. */
export const notModelledEntries: Readonly<Record<string, Entry>> = {
  bench: notModelled({
    ...{ va: needed(bytes), iova: needed(bytes), size: needed(bytes) },
    ...{ reps: optional(number), warm: optional(number) },
  }),
  iofd: undescribed(),
  ioas_map: undescribed(),
  ioas_map_file: undescribed(),
  ioas_unmap: undescribed(),

  addext: notModelled(dev),
  delext: notModelled({ ...dev, keepfd: optional(number) }),
  unset: notModelled(dev),
  closedev: notModelled({ dev: needed(text) }),
  pin: notModelled({
    ...{ iova: needed(bytes), ...pages, ...access, ...call },
    ...{ null: optional(number), forget: optional(number) },
  }),
  unpin: notModelled({
    ...{ iova: needed(bytes), ...pages, ...call, forget: optional(number) },
  }),
  pinlist: notModelled({ ...list, ...access }),
  unpinlist: notModelled(list),
  dmarw: notModelled({
    ...{ iova: needed(bytes), len: needed(bytes), write: needed(number), byte: optional(number) },
    ...{ ...call, null: optional(number) },
  }),
  extmode: notModelled({
    unmap: optional(word('all', 'none', 'skip', 'one', 'ref')),
    ...{ k: optional(number), keep: optional(number), ...dev },
  }),
  poke: notModelled(memory),
  peek: notModelled(memory),
};
