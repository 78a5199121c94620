/**
 * `perf trace -e ioctl`: names and durations, never the structures.
 *
 * @source tools/perf/builtin-trace.c, tools/perf/trace/beauty/ioctl.c
 */
import { ioctlNamed, ioctlsOf } from '@pinfold/uapi';
import type { LogFormat } from '../log/entries.ts';
import { isMappingIoctl } from '../log/ioctl-calls.ts';

const LINE =
  /^\s*[\d.]+ \(\s*([\d.]+|\?) ms\): (?:\S.*?\/(\d+) )?(\w+)\((.*)\)\s*= ?(0x[0-9a-f]+|-?\d+)? ?(E[A-Z]+)?/;

/** The format. */
export const perfTrace: LogFormat = {
  name: 'perf trace',
  open: () => ({
    read(line, sink) {
      const [, , pid = '0', call, text = '', , errno] = LINE.exec(line) ?? [];
      if (call === undefined) return false;
      if (call !== 'ioctl') return true;
      const [, written = ''] = /cmd: (\([^)]*\)|[^,]+)/.exec(text) ?? [];
      const [, nr] = /\(NONE, 0x3b, (0x[0-9a-f]+), 0/.exec(written) ?? [];
      const byNumber = nr ?? /^0x3b([0-9a-f]{2})$/.exec(written)?.[1];
      const name =
        byNumber === undefined
          ? (ioctlNamed(written) ?? ioctlNamed(`VFIO_${written}`))?.name
          : ioctlsOf(0x3b00 + Number(byNumber.startsWith('0x') ? byNumber : `0x${byNumber}`)).find(
              (one) => isMappingIoctl(one.name),
            )?.name;
      if (name === undefined) return true;
      if (name === 'VFIO_SET_IOMMU') {
        const [, type] = /arg: (0x[0-9a-f]+|\d+)/.exec(text) ?? [];
        const facts = { process: Number(pid), errno: errno ?? null };
        sink.call({ op: 'setiommu', type: Number(type ?? '3'), ...facts });
      } else if (isMappingIoctl(name)) sink.missing(name);
      return true;
    },
  }),
};
