/** Messages of libvirt about limits and assigned devices, and the limits of a domain's XML. */
import type { LogFormat } from '../log/entries.ts';
import { sizeOf } from '../log/numbers.ts';

/** The format. */
export const libvirt: LogFormat = {
  name: 'libvirt messages',
  open: () => ({
    read(line, sink) {
      const limit = /<hard_limit(?: unit='?"?(\w+)'?"?)?>(\d+)<\/hard_limit>/.exec(line);
      if (limit) {
        const [, unit = 'KiB', number] = limit;
        const bytes = sizeOf(number, unit);
        sink.fact(`<hard_limit> is ${number} ${unit}`, (facts) => (facts.memlock = bytes));
        return true;
      }
      const set =
        /setting (?:max )?locked memory (?:limit )?to (\d+)|virProcessSetMaxMemLock.* (\d+)/.exec(
          line,
        );
      if (set) {
        const bytes = Number(set[1] ?? set[2]);
        sink.fact(`libvirt sets the limit to ${bytes} bytes`, (facts) => (facts.memlock = bytes));
        return true;
      }
      if (line.includes('cannot limit locked memory')) {
        sink.message({ program: 'libvirt', about: 'limit' });
        return true;
      }
      return /\b(?:libvirtd?|virtqemud)\[|: (?:error|warning|info|debug) : (?:vir|qemu)\w+:\d+ : /.test(
        line,
      );
    },
  }),
};
