/**
 * What `recipes/vfio.bt` prints: one line per ioctl, with the fields of its structure.
 *
 *     12.345678 4711 VFIO_IOMMU_MAP_DMA fd=17 flags=0x3 vaddr=0x7f.. iova=0x0 size=0x1000 ret=-12 us=33
 */
import { ioctlNamed } from '@pinfold/uapi';
import type { LogFormat } from '../log/entries.ts';
import { readIoctl } from '../log/ioctl-calls.ts';
import { errnoOf, u64 } from '../log/numbers.ts';

const LINE = /^(\d+(?:\.\d+)?) (\d+) ((?:VFIO|IOMMU)_\w+) fd=(\d+)((?: \w+=\S+)*)$/;
const US = 1e6;

/** The format. */
export const bpftrace: LogFormat = {
  name: 'bpftrace recipe',
  open: () => ({
    read(line, sink) {
      const [, , pid, name, fd, rest] = LINE.exec(line.trimEnd()) ?? [];
      if (name === undefined || !ioctlNamed(name)) return false;
      const words = new Map(
        rest
          .trim()
          .split(' ')
          .map((word) => {
            const at = word.indexOf('=');
            return [word.slice(0, at), word.slice(at + 1)] as const;
          }),
      );
      const ret = words.get('ret') ?? '0';
      const us = words.get('us');
      const facts = {
        ...{ process: Number(pid), container: `${pid}:${fd}` },
        errno: ret.startsWith('-') ? errnoOf(ret) : null,
        ...(us !== undefined && { seconds: Number(us) / US }),
      };
      words.delete('ret');
      words.delete('us');
      if (name === 'VFIO_SET_IOMMU') {
        sink.call({ op: 'setiommu', type: Number(words.get('arg') ?? '3'), ...facts });
        return true;
      }
      const values = new Map(
        [...words].filter(([key]) => key !== '').map(([key, text]) => [key, u64(text, key)]),
      );
      readIoctl(name, values, facts, sink);
      return true;
    },
  }),
};
