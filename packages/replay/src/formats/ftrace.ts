/**
 * Kprobe events of `recipes/ftrace.sh` in the text of `trace`: the ioctl of the container with the fields of
 * its structure, and its return. Both structures begin alike, so that one probe reads both: what it calls
 * `w1`, `w2` and `w3` are the words of 64 bits after argsz and flags.
 */
import { ioctlsOf } from '@pinfold/uapi';
import type { LogFormat } from '../log/entries.ts';
import { isMappingIoctl, readIoctl } from '../log/ioctl-calls.ts';
import { errnoOf, u64 } from '../log/numbers.ts';

const EVENT = /^\s*(.{1,32}?)-(\d+)\s+\[\d+\]\s+\S*\s*([\d.]+): (pinfold_\w+): \([^)]*\) (.*)$/;

interface Pending {
  readonly name: string;
  readonly values: ReadonlyMap<string, bigint>;
  readonly time: number;
}

function wordsIn(text: string): Map<string, bigint> {
  return new Map(
    [...text.matchAll(/(\w+)=(0x[0-9a-fA-F]+|\d+)\b/g)].map(([, key, value]) => [
      key,
      u64(value, key),
    ]),
  );
}

/** The words under the names of the structure's fields. */
function named(name: string, words: ReadonlyMap<string, bigint>): Map<string, bigint> {
  const fields = name === 'VFIO_IOMMU_MAP_DMA' ? ['vaddr', 'iova', 'size'] : ['iova', 'size'];
  const values = new Map(fields.map((field, i) => [field, words.get(`w${i + 1}`) ?? 0n]));
  values.set('flags', words.get('flags') ?? 0n);
  values.set('argsz', words.get('argsz') ?? 32n);
  return values;
}

/** The format. */
export const ftrace: LogFormat = {
  name: 'ftrace recipe',
  open() {
    const pending = new Map<string, Pending>();
    return {
      read(line, sink) {
        const [, , thread, time, event, text = ''] = EVENT.exec(line) ?? [];
        if (event === undefined)
          return (
            /^# (?:tracer|entries|TASK-PID|\s)/.test(line) || /^#\s+(?:_-|\/ _|\| )/.test(line)
          );
        if (event === 'pinfold_ioctl') {
          const words = wordsIn(text);
          const command = Number(words.get('cmd') ?? 0n);
          const ioctl = ioctlsOf(command, 'type1')[0] ?? ioctlsOf(command, 'vfio')[0];
          const name = ioctl?.name ?? '';
          if (isMappingIoctl(name)) {
            pending.set(thread, { name, values: named(name, words), time: Number(time) });
          } else pending.delete(thread);
          return true;
        }
        const call = pending.get(thread);
        if (!call) return true;
        pending.delete(thread);
        const [, ret = '0'] = /ret=(-?\d+)/.exec(text) ?? [];
        const errno = ret.startsWith('-') ? errnoOf(ret) : null;
        readIoctl(call.name, call.values, { errno, seconds: Number(time) - call.time }, sink);
        return true;
      },
    };
  },
};
